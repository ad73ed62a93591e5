"""Messages as lists show them, page by page."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import MailboxPath, NoDifference, Request, Response, When
from engine.schema.mail_events import EncodedSize, MailAddress, MessageAttachment
from engine.schema.paging import Page, PageQuery

_FLAG = Annotated[bool | UnsetType, Meta(description="`true`, or absent.")]
_CURSOR = Annotated[str | None, Meta(description="The page beside this one. `null`: there is none.")]


class CommandHeaders(Request, frozen=True, kw_only=True):
    """Headers of what asks the mail server."""

    timeout: Annotated[
        Annotated[int, Meta(ge=0, le=7_200_000)],
        Meta(description="Milliseconds after which the mail server is not waited for any longer: 504, `Timeout`."),
    ] = msgspec.field(name="x-ee-timeout", default=10_000)

    @property
    def seconds(self) -> float:
        """The same in seconds."""
        return self.timeout / 1000


class MessagesQuery(PageQuery, frozen=True, kw_only=True):
    """Query of a list of messages."""

    path: Annotated[MailboxPath, Meta(description="The folder, or its special use (`\\Sent`).", examples=["INBOX"])]
    cursor: Annotated[
        Annotated[str, Meta(max_length=1_048_576)] | UnsetType,
        Meta(description="From `nextPageCursor` or `prevPageCursor`; then `page` does not count."),
    ] = UNSET
    document_store: NoDifference = UNSET


class EntryText(Response, frozen=True, kw_only=True):
    """The text of a message in a list."""

    id: Annotated[str, Meta(description="Its id.", examples=["AAAAAQAAAAGTkaExkJA"])]
    encoded_size: Annotated[EncodedSize, Meta(description="How large it is.")]


class MessageEntry(Response, frozen=True, kw_only=True):
    """A message in a list. What would be empty, or false, is absent."""

    id: Annotated[str, Meta(description="The message's id. Another one after a move.", examples=["AAAAAQAAAAE"])]
    uid: Annotated[int, Meta(description="Its UID in the folder.", examples=[17])]
    path: Annotated[str | UnsetType, Meta(description="The folder's path, where several were searched.")] = UNSET
    email_id: Annotated[str | UnsetType, Meta(description="The server's own id that stays after a move.")] = UNSET
    thread_id: Annotated[str | UnsetType, Meta(description="The server's id of the conversation.")] = UNSET
    date: Annotated[
        When | UnsetType, Meta(description="Its Date field; where that makes none, when it came into the folder.")
    ] = UNSET
    flags: Annotated[tuple[str, ...], Meta(description="Its flags.", examples=[["\\Seen"]])]
    labels: Annotated[tuple[str, ...] | UnsetType, Meta(description="Gmail's labels.")] = UNSET
    unseen: _FLAG = UNSET
    flagged: _FLAG = UNSET
    answered: _FLAG = UNSET
    draft: _FLAG = UNSET
    size: Annotated[int | UnsetType, Meta(description="Octets.", examples=[1086])] = UNSET
    subject: Annotated[str | UnsetType, Meta(description="Its subject.")] = UNSET
    author: Annotated[MailAddress | UnsetType, Meta(description="The From field.")] = msgspec.field(
        name="from", default=UNSET
    )
    reply_to: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="Where answers go.")] = UNSET
    to: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The To field.")] = UNSET
    cc: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The Cc field.")] = UNSET
    message_id: Annotated[str | UnsetType, Meta(description="Its Message-ID.", examples=["<1@example.org>"])] = UNSET
    in_reply_to: Annotated[str | UnsetType, Meta(description="The Message-ID it answers.")] = UNSET
    attachments: Annotated[tuple[MessageAttachment, ...] | UnsetType, Meta(description="Attached files.")] = UNSET
    text: Annotated[EntryText, Meta(description="Its text.")]


class MessagesPage(Page, frozen=True, kw_only=True):
    """A page of messages, newest first."""

    next_page_cursor: _CURSOR
    prev_page_cursor: _CURSOR
    messages: Annotated[tuple[MessageEntry, ...], Meta(description="The messages.")]
