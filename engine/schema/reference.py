"""The message that another one replies to or forwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Check, NoDifference, Request, Response

Action = Literal["reply", "reply-all", "forward"]


class Reference(Request, frozen=True, kw_only=True):
    """The message that this one replies to or forwards."""

    EXAMPLE = {"message": "AAAAAQAAAAE", "action": "reply", "inline": True}

    message: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType,
        Meta(
            description="The id of that message. Absent: the newest one of `threadId` in the folder of all mail, else "
            "in INBOX.",
            examples=["AAAAAQAAAAE"],
        ),
    ] = UNSET
    action: Annotated[
        Action,
        Meta(
            description="How this message answers it. Decides on the subject, recipients and References that you do "
            "not give; the recipients of a `reply-all` are added to yours."
        ),
    ] = "reply"
    inline: Annotated[
        bool, Meta(description="Whether to quote it below the text, and in HTML with its pictures. Absent: `false`.")
    ] = False
    forward_attachments: Annotated[
        bool, Meta(description="Whether to attach its files; only with `forward`. Absent: `false`.")
    ] = False
    ignore_missing: Annotated[
        bool, Meta(description="Whether to send this message even if there is no such message. Absent: `false`.")
    ] = False
    message_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=996, extra={"check": Check.MESSAGE_ID})] | UnsetType,
        Meta(description="The Message-ID that the message must have. Absent: any."),
    ] = UNSET
    thread_id: Annotated[
        Annotated[str, Meta(max_length=256)] | UnsetType,
        Meta(
            description="The id of its conversation, if the mail server has such ids; it only counts without "
            "`message`. Absent: none."
        ),
    ] = UNSET
    document_store: NoDifference = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """It names a message or a conversation; only a forward has attachments to take along."""
        if not get("message") and not get("thread_id"):
            yield "message", "is required"
        if get("forward_attachments") is True and get("action") in ("reply", "reply-all"):
            yield "forwardAttachments", "is not allowed unless action is forward"


class ReferenceShown(Response, frozen=True, kw_only=True):
    """Whether the reference was found."""

    message: Annotated[
        str | UnsetType, Meta(description="The id of the message. Absent: none.", examples=["AAAAAQAAAAE"])
    ] = UNSET
    document_store: Annotated[bool | UnsetType, Meta(description="Always `false`.")] = UNSET
    success: Annotated[bool, Meta(description="Whether there is such a message.")]
    error: Annotated[str | UnsetType, Meta(description="What is wrong with it. Absent: nothing.")] = UNSET
    thread_id: Annotated[str | UnsetType, Meta(description="The id of the conversation. Absent: none was given.")] = (
        UNSET
    )
