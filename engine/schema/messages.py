"""Messages as lists show them, page by page."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import MailboxPath, NoDifference, Request, Response, When
from engine.schema.mail_events import EncodedSize, MailAddress, MessageAttachment
from engine.schema.paging import Page, PageQuery

_FLAG = Annotated[bool | UnsetType, Meta(description="`true`, or absent.")]
Cursor = Annotated[
    Annotated[str, Meta(max_length=1_048_576)] | UnsetType,
    Meta(
        description="A cursor from `nextPageCursor` or `prevPageCursor`, in place of `page`. Absent: `page` counts.",
    ),
]
PageCursor = Annotated[
    str | None, Meta(description="The cursor of the page beside this one. `null`: there is none.", examples=[None])
]


class CommandHeaders(Request, frozen=True, kw_only=True):
    """Headers of a request that the mail server answers."""

    timeout: Annotated[
        Annotated[int, Meta(ge=0, le=7_200_000)],
        Meta(description="How long to wait for the mail server, in milliseconds; then the answer is a 504."),
    ] = msgspec.field(name="x-ee-timeout", default=10_000)

    @property
    def seconds(self) -> float:
        """The time limit in seconds."""
        return self.timeout / 1000


class MessagesQuery(PageQuery, frozen=True, kw_only=True):
    """Which page of a folder."""

    EXAMPLE = {"path": "INBOX"}

    path: Annotated[
        MailboxPath, Meta(description="The path of the folder, or its special use (`\\Sent`).", examples=["INBOX"])
    ]
    cursor: Cursor = UNSET
    document_store: NoDifference = UNSET


class EntryText(Response, frozen=True, kw_only=True):
    """The text of a message, without its content."""

    id: Annotated[str, Meta(description="The text's id.", examples=["AAAAAQAAAAGTkaExkJA"])]
    encoded_size: Annotated[
        EncodedSize,
        Meta(description="The size of each kind of text, as encoded in the message.", examples=[{"plain": 10}]),
    ]


class MessageEntry(Response, frozen=True, kw_only=True):
    """A message in a list. Members that would be empty or `false` are absent."""

    EXAMPLE = {
        "id": "AAAAAQAAAAE",
        "uid": 1,
        "date": "2026-11-22T11:00:00.000Z",
        "flags": [],
        "unseen": True,
        "size": 320,
        "subject": "Hello",
        "from": {"name": "Alice", "address": "alice@example.org"},
        "replyTo": [{"name": "Alice", "address": "alice@example.org"}],
        "to": [{"name": "", "address": "example@sandbox.example"}],
        "messageId": "<1@example.org>",
        "text": {"id": "AAAAAQAAAAGTkaExkJA", "encodedSize": {"plain": 10}},
    }

    id: Annotated[str, Meta(description="The message's id. A move changes it.", examples=["AAAAAQAAAAE"])]
    uid: Annotated[int, Meta(description="The message's UID in its folder.", examples=[17])]
    path: Annotated[
        str | UnsetType, Meta(description="The path of the folder, where several folders were searched.")
    ] = UNSET
    email_id: Annotated[
        str | UnsetType, Meta(description="The server's own id for the message, which survives a move.")
    ] = UNSET
    thread_id: Annotated[str | UnsetType, Meta(description="The server's id for the conversation.")] = UNSET
    date: Annotated[
        When | UnsetType, Meta(description="The Date field; where it holds no date, when the message arrived.")
    ] = UNSET
    flags: Annotated[tuple[str, ...], Meta(description="The message's flags.", examples=[["\\Seen"]])]
    labels: Annotated[tuple[str, ...] | UnsetType, Meta(description="Gmail's labels.")] = UNSET
    unseen: _FLAG = UNSET
    flagged: _FLAG = UNSET
    answered: _FLAG = UNSET
    draft: _FLAG = UNSET
    size: Annotated[int | UnsetType, Meta(description="The size in bytes.", examples=[1086])] = UNSET
    subject: Annotated[str | UnsetType, Meta(description="The subject.")] = UNSET
    author: Annotated[MailAddress | UnsetType, Meta(description="The From field.")] = msgspec.field(
        name="from", default=UNSET
    )
    reply_to: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="Where answers go.")] = UNSET
    to: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The To field.")] = UNSET
    cc: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The Cc field.")] = UNSET
    message_id: Annotated[str | UnsetType, Meta(description="The Message-ID.", examples=["<1@example.org>"])] = UNSET
    in_reply_to: Annotated[str | UnsetType, Meta(description="The Message-ID of the message it answers.")] = UNSET
    attachments: Annotated[tuple[MessageAttachment, ...] | UnsetType, Meta(description="The attached files.")] = UNSET
    text: Annotated[EntryText, Meta(description="The text, without its content.")]


class MessagesPage(Page, frozen=True, kw_only=True):
    """A page of messages, newest first."""

    next_page_cursor: PageCursor
    prev_page_cursor: PageCursor
    messages: Annotated[tuple[MessageEntry, ...], Meta(description="The messages.")]
