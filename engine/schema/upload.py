"""A message stored in a folder: what it is made of, and where it is then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Check, Instant, MailboxPath, NoDifference, Request, Response, Unsupported
from engine.schema.submit import Content, beside_raw


class UploadReference(Request, frozen=True, kw_only=True):
    """The message that this one replies to or forwards."""

    EXAMPLE = {"message": "AAAAAQAAAAE", "action": "reply"}

    message: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256)],
        Meta(description="The id of that message.", examples=["AAAAAQAAAAE"]),
    ]
    action: Annotated[
        Literal["reply", "reply-all", "forward"],
        Meta(
            description="What this message is to it: decides on subject, recipients and References, where they are not "
            "given."
        ),
    ] = "reply"
    inline: Unsupported | UnsetType = UNSET
    forward_attachments: Unsupported | UnsetType = UNSET
    ignore_missing: Annotated[
        bool, Meta(description="Whether to store the message also if there is no such message. Absent: `false`.")
    ] = False
    message_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=996, extra={"check": Check.MESSAGE_ID})] | UnsetType,
        Meta(description="The Message-ID that message must have. Absent: any."),
    ] = UNSET
    thread_id: Annotated[str | UnsetType, Meta(description="Makes no difference here, present or absent.")] = UNSET


class Upload(Content, frozen=True, kw_only=True):
    """A message to store."""

    EXAMPLE = {
        "path": "Drafts",
        "flags": ["\\Draft", "\\Seen"],
        "to": [{"name": "A friend", "address": "friend@sandbox.example"}],
        "subject": "Hello",
        "text": "Hello!",
    }

    path: Annotated[
        MailboxPath, Meta(description="The path of the folder, or its special use (`\\Drafts`).", examples=["Drafts"])
    ]
    flags: Annotated[
        Annotated[
            tuple[Annotated[str, Meta(min_length=1, max_length=128, extra={"check": Check.FLAG})], ...],
            Meta(max_length=100),
        ],
        Meta(description="The flags it has. Absent: none.", examples=[["\\Draft", "\\Seen"]]),
    ] = ()
    internal_date: Annotated[
        Instant | UnsetType, Meta(description="When it arrived, as the folder shows it. Absent: now.")
    ] = UNSET
    reference: Annotated[
        UploadReference | UnsetType, Meta(description="What it replies to or forwards. Absent: nothing.")
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A message is given whole, or in parts."""
        if get("raw") is not UNSET:
            yield from beside_raw(get, ("text", "html", "attachments", "reference"))


class ReferenceShown(Response, frozen=True, kw_only=True):
    """What became of the reference."""

    message: Annotated[str, Meta(description="The id that was given.", examples=["AAAAAQAAAAE"])]
    success: Annotated[bool, Meta(description="Whether there is such a message.")]
    error: Annotated[str | UnsetType, Meta(description="What is wrong with it. Absent: nothing.")] = UNSET


class Uploaded(Response, frozen=True, kw_only=True):
    """Where the message is now."""

    id: Annotated[
        str | UnsetType,
        Meta(description="The message's id. Absent: it is not known.", examples=["AAAAAgAAAAE"]),
    ] = UNSET
    path: Annotated[str, Meta(description="The path of the folder.", examples=["Drafts"])]
    uid: Annotated[
        int | UnsetType, Meta(description="Its UID in the folder. Absent: it is not known.", examples=[1])
    ] = UNSET
    uid_validity: Annotated[
        str | UnsetType, Meta(description="The folder's UIDVALIDITY. Absent: it is not known.", examples=["1"])
    ] = UNSET
    message_id: Annotated[
        str | UnsetType, Meta(description="The message's Message-ID.", examples=["<1@example.com>"])
    ] = UNSET
    reference: Annotated[ReferenceShown | UnsetType, Meta(description="The reference, if there was one.")] = UNSET


class UploadQuery(Request, frozen=True, kw_only=True):
    """Query of `POST /v1/account/{account}/message`."""

    document_store: NoDifference = UNSET
