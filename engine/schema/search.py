"""What a search looks for, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import SINGLE, Check, FieldName, Instant, MailboxPath, NoDifference, Request
from engine.schema.messages import Cursor
from engine.schema.paging import PageQuery

MAX_FOLDERS = 1_000
"""The maximum folders searched at once."""

_Text = Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.TEXT})]
_Numbers = Annotated[str, Meta(min_length=1, max_length=8192, extra={"check": Check.SEQUENCE})]
_Id = Annotated[str, Meta(min_length=1, max_length=256)]
_Size = Annotated[int, Meta(ge=0, le=1_073_741_824)]
_Labels = Annotated[tuple[_Text, ...], SINGLE, Meta(max_length=100)]


class LabelSearch(Request, frozen=True, kw_only=True):
    """Which of Gmail's labels a message must and must not have."""

    has: Annotated[
        _Labels, Meta(description="Labels that the message must have. Absent: none.", examples=[["Important"]])
    ] = ()
    lacks: Annotated[_Labels, Meta(description="Labels that it must not have. Absent: none.")] = msgspec.field(
        name="not", default=()
    )


class SearchQuery(Request, frozen=True, kw_only=True):
    """What to search for. A message must match everything that is given."""

    EXAMPLE = {"unseen": True, "from": "alice@example.org", "since": "2026-11-01T00:00:00.000Z"}

    seq: Annotated[
        _Numbers | UnsetType,
        Meta(description="The message's number in its folder, as a sequence set. Absent: any.", examples=["8:*"]),
    ] = UNSET
    uid: Annotated[
        _Numbers | UnsetType, Meta(description="The message's UID, as a sequence set. Absent: any.", examples=["1,4:6"])
    ] = UNSET
    answered: Annotated[bool | UnsetType, Meta(description="Whether the message is answered. Absent: either.")] = UNSET
    deleted: Annotated[
        bool | UnsetType, Meta(description="Whether the message is marked as deleted. Absent: either.")
    ] = UNSET
    draft: Annotated[bool | UnsetType, Meta(description="Whether the message is a draft. Absent: either.")] = UNSET
    unseen: Annotated[bool | UnsetType, Meta(description="Whether the message is unread. Absent: either.")] = UNSET
    flagged: Annotated[bool | UnsetType, Meta(description="Whether the message is flagged. Absent: either.")] = UNSET
    seen: Annotated[bool | UnsetType, Meta(description="Whether the message is read. Absent: either.")] = UNSET
    author: Annotated[_Text | UnsetType, Meta(description="Text in the From field. Absent: any.")] = msgspec.field(
        name="from", default=UNSET
    )
    to: Annotated[_Text | UnsetType, Meta(description="Text in the To field. Absent: any.")] = UNSET
    cc: Annotated[_Text | UnsetType, Meta(description="Text in the Cc field. Absent: any.")] = UNSET
    bcc: Annotated[_Text | UnsetType, Meta(description="Text in the Bcc field. Absent: any.")] = UNSET
    body: Annotated[_Text | UnsetType, Meta(description="Text in the body. Absent: any.")] = UNSET
    subject: Annotated[
        Annotated[str, Meta(min_length=1, max_length=2560, extra={"check": Check.TEXT})] | UnsetType,
        Meta(description="Text in the subject. Absent: any."),
    ] = UNSET
    larger: Annotated[
        _Size | UnsetType, Meta(description="The message is larger than this, in bytes. Absent: any size.")
    ] = UNSET
    smaller: Annotated[
        _Size | UnsetType, Meta(description="The message is smaller than this, in bytes. Absent: any size.")
    ] = UNSET
    modseq: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | UnsetType,
        Meta(description="The message changed after this MODSEQ; needs CONDSTORE. Absent: at any time."),
    ] = UNSET
    before: Annotated[
        Instant | UnsetType, Meta(description="The message arrived before this day. Absent: at any time.")
    ] = UNSET
    since: Annotated[
        Instant | UnsetType, Meta(description="The message arrived on this day or later. Absent: at any time.")
    ] = UNSET
    sent_before: Annotated[
        Instant | UnsetType, Meta(description="The Date field is before this day. Absent: any date.")
    ] = UNSET
    sent_since: Annotated[
        Instant | UnsetType, Meta(description="The Date field is this day or later. Absent: any date.")
    ] = UNSET
    email_id: Annotated[
        _Id | UnsetType, Meta(description="The server's own id for the message; needs OBJECTID, or Gmail. Absent: any.")
    ] = UNSET
    email_ids: Annotated[
        Annotated[tuple[_Id, ...], SINGLE, Meta(max_length=1000)] | UnsetType,
        Meta(description="The message has one of these ids. Absent: any."),
    ] = UNSET
    thread_id: Annotated[
        _Id | UnsetType,
        Meta(
            description="The server's id for the conversation. Where the server has none but can put conversations "
            "together (THREAD=REFERENCES): the `id` of one message in it. Absent: any."
        ),
    ] = UNSET
    header: Annotated[
        Annotated[
            dict[FieldName, Annotated[str, Meta(max_length=256, extra={"check": Check.TEXT})]], Meta(max_length=20)
        ]
        | UnsetType,
        Meta(description='Text in header fields, by name; `""`: the field exists. Absent: any header.'),
    ] = UNSET
    gmail_raw: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024, extra={"check": Check.TEXT})] | UnsetType,
        Meta(
            description="A search in Gmail's own syntax; needs Gmail. Absent: none.",
            examples=["has:attachment in:unread"],
        ),
    ] = UNSET
    labels: Annotated[LabelSearch | UnsetType, Meta(description="Gmail's labels; needs Gmail. Absent: any.")] = UNSET


class SearchPage(PageQuery, frozen=True, kw_only=True):
    """Where to search, and which page."""

    EXAMPLE = {"path": "INBOX"}

    path: Annotated[
        MailboxPath | UnsetType,
        Meta(
            description="The path of the folder, or its special use (`\\Sent`); `*`: all folders. Absent: the `paths` "
            "in the body.",
            examples=["INBOX"],
        ),
    ] = UNSET
    cursor: Cursor = UNSET
    document_store: NoDifference = UNSET
    use_outlook_search: NoDifference = UNSET


class Search(Request, frozen=True, kw_only=True):
    """What to search for."""

    search: Annotated[SearchQuery, Meta(description="What to search for.")]
    paths: Annotated[
        Annotated[tuple[MailboxPath, ...], SINGLE, Meta(max_length=MAX_FOLDERS)] | UnsetType,
        Meta(description="The folders to search, in place of `path`. Absent: `path`."),
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A list of folders must have one."""
        if get("paths") == ():
            yield "paths", "must contain at least 1 items"
