"""What messages are searched for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import SINGLE, Check, FieldName, Instant, MailboxPath, NoDifference, Request
from engine.schema.paging import PageQuery

MAX_FOLDERS = 1_000
"""The most folders searched at once."""

_Text = Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.TEXT})]
_Numbers = Annotated[str, Meta(min_length=1, max_length=8192, extra={"check": Check.SEQUENCE})]
_Id = Annotated[str, Meta(min_length=1, max_length=256)]
_Size = Annotated[int, Meta(ge=0, le=1_073_741_824)]
_Labels = Annotated[tuple[_Text, ...], SINGLE, Meta(max_length=100)]


class LabelSearch(Request, frozen=True, kw_only=True):
    """Gmail's labels."""

    has: Annotated[_Labels, Meta(description="Labels the message has.", examples=[["Important"]])] = ()
    lacks: Annotated[_Labels, Meta(description="Labels it has not.")] = msgspec.field(name="not", default=())


class SearchQuery(Request, frozen=True, kw_only=True):
    """What a message must be. All of it must hold; what is absent does not count."""

    seq: Annotated[_Numbers | UnsetType, Meta(description="Its number in the folder.", examples=["8:*"])] = UNSET
    uid: Annotated[_Numbers | UnsetType, Meta(description="Its UID.", examples=["1,4:6"])] = UNSET
    answered: Annotated[bool | UnsetType, Meta(description="Whether it is answered.")] = UNSET
    deleted: Annotated[bool | UnsetType, Meta(description="Whether it is marked as deleted.")] = UNSET
    draft: Annotated[bool | UnsetType, Meta(description="Whether it is a draft.")] = UNSET
    unseen: Annotated[bool | UnsetType, Meta(description="Whether it is unread.")] = UNSET
    flagged: Annotated[bool | UnsetType, Meta(description="Whether it is flagged.")] = UNSET
    seen: Annotated[bool | UnsetType, Meta(description="Whether it is read.")] = UNSET
    author: Annotated[_Text | UnsetType, Meta(description="Text in its From field.")] = msgspec.field(
        name="from", default=UNSET
    )
    to: Annotated[_Text | UnsetType, Meta(description="Text in its To field.")] = UNSET
    cc: Annotated[_Text | UnsetType, Meta(description="Text in its Cc field.")] = UNSET
    bcc: Annotated[_Text | UnsetType, Meta(description="Text in its Bcc field.")] = UNSET
    body: Annotated[_Text | UnsetType, Meta(description="Text in its body.")] = UNSET
    subject: Annotated[
        Annotated[str, Meta(min_length=1, max_length=2560, extra={"check": Check.TEXT})] | UnsetType,
        Meta(description="Text in its subject."),
    ] = UNSET
    larger: Annotated[_Size | UnsetType, Meta(description="It has more octets than this.")] = UNSET
    smaller: Annotated[_Size | UnsetType, Meta(description="It has fewer octets than this.")] = UNSET
    modseq: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | UnsetType,
        Meta(description="It changed after this MODSEQ; only where the server has CONDSTORE."),
    ] = UNSET
    before: Annotated[Instant | UnsetType, Meta(description="It came before this day.")] = UNSET
    since: Annotated[Instant | UnsetType, Meta(description="It came on this day or later.")] = UNSET
    sent_before: Annotated[Instant | UnsetType, Meta(description="Its Date field is before this day.")] = UNSET
    sent_since: Annotated[Instant | UnsetType, Meta(description="Its Date field is of this day or later.")] = UNSET
    email_id: Annotated[
        _Id | UnsetType, Meta(description="Its id that stays after a move; only where the server has such ids.")
    ] = UNSET
    email_ids: Annotated[
        Annotated[tuple[_Id, ...], SINGLE, Meta(max_length=1000)] | UnsetType, Meta(description="One of these ids.")
    ] = UNSET
    thread_id: Annotated[
        _Id | UnsetType,
        Meta(
            description="The server's id of its conversation. Where the server has none, but can put conversations "
            "together (THREAD=REFERENCES): the id of one message of it."
        ),
    ] = UNSET
    header: Annotated[
        Annotated[
            dict[FieldName, Annotated[str, Meta(max_length=256, extra={"check": Check.TEXT})]], Meta(max_length=20)
        ]
        | UnsetType,
        Meta(description="Text in a header field, by its name; empty: the field is there."),
    ] = UNSET
    gmail_raw: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024, extra={"check": Check.TEXT})] | UnsetType,
        Meta(description="A search in Gmail's own words; only there.", examples=["has:attachment in:unread"]),
    ] = UNSET
    labels: Annotated[LabelSearch | UnsetType, Meta(description="Gmail's labels; only there.")] = UNSET


class SearchPage(PageQuery, frozen=True, kw_only=True):
    """Query of a search."""

    path: Annotated[
        MailboxPath | UnsetType,
        Meta(
            description="The folder, or its special use (`\\Sent`). `*`: all folders. Needed unless there are `paths`."
        ),
    ] = UNSET
    cursor: Annotated[
        Annotated[str, Meta(max_length=1_048_576)] | UnsetType,
        Meta(description="From `nextPageCursor` or `prevPageCursor`; then `page` does not count."),
    ] = UNSET
    document_store: NoDifference = UNSET
    use_outlook_search: NoDifference = UNSET


class Search(Request, frozen=True, kw_only=True):
    """A search."""

    search: Annotated[SearchQuery, Meta(description="What is searched for.")]
    paths: Annotated[
        Annotated[tuple[MailboxPath, ...], SINGLE, Meta(max_length=MAX_FOLDERS)] | UnsetType,
        Meta(description="The folders, where it is more than one; in place of `path`."),
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A list of folders must have one."""
        if get("paths") == ():
            yield "paths", "must contain at least 1 items"
