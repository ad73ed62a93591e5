"""Messages as lists show them, page by page."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import MailboxPath, NoDifference
from engine.schema.mail_events import EntryText, MessageFacts
from engine.schema.paging import Page, PageQuery

Cursor = Annotated[
    Annotated[str, Meta(max_length=1_048_576)] | UnsetType,
    Meta(
        description="A cursor from `nextPageCursor` or `prevPageCursor`, in place of `page`. Absent: `page` counts.",
    ),
]
PageCursor = Annotated[
    str | None, Meta(description="The cursor of the page beside this one. `null`: there is none.", examples=[None])
]


class MessagesQuery(PageQuery, frozen=True, kw_only=True):
    """Which page of a folder."""

    EXAMPLE = {"path": "INBOX"}

    path: Annotated[
        MailboxPath, Meta(description="The path of the folder, or its special use (`\\Sent`).", examples=["INBOX"])
    ]
    cursor: Cursor = UNSET
    document_store: NoDifference = UNSET


class MessageEntry(MessageFacts, frozen=True, kw_only=True):
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

    text: Annotated[EntryText, Meta(description="The text, without its content.")]


class MessagesPage(Page, frozen=True, kw_only=True):
    """A page of messages, newest first."""

    next_page_cursor: PageCursor
    prev_page_cursor: PageCursor
    messages: Annotated[tuple[MessageEntry, ...], Meta(description="The messages.")]
