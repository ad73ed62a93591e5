"""Blocklists: which recipients get no mail of a list."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Address, Check, Email, Hostname, Line256, Request, Response, When
from engine.schema.paging import Page, PageQuery

ListId = Annotated[
    str,
    Meta(min_length=1, max_length=255, description="The list's id, shaped like a host name.", examples=["newsletter"]),
]
"""A list in a path."""
LISTED = {
    "recipient": "ann@example.com",
    "account": "example",
    "messageId": "<1@example.com>",
    "source": "one-click",
    "reason": "unsubscribe",
    "remoteAddress": "192.0.2.17",
    "userAgent": "Mozilla/5.0",
    "created": "2026-11-22T11:45:23.564Z",
}


class BlocklistName(Request, frozen=True, kw_only=True):
    """The id of a list."""

    list_id: Annotated[Hostname, Meta(description="The list's id.", examples=["newsletter"])]


class Blocklist(Response, frozen=True, kw_only=True):
    """One list."""

    list_id: Annotated[str, Meta(description="The list's id.", examples=["newsletter"])]
    count: Annotated[int, Meta(description="How many recipients are on it.", examples=[12])]


class BlocklistPage(Page, frozen=True, kw_only=True):
    """A page of the lists that have entries."""

    blocklists: Annotated[tuple[Blocklist, ...], Meta(description="The lists, by name.")]


class BlockedRecipient(Response, frozen=True, kw_only=True):
    """A recipient who gets no mail of the list."""

    EXAMPLE = LISTED

    recipient: Annotated[Address, Meta(description="The recipient's address.")]
    account: Annotated[str, Meta(description="The account whose mail it is about.", examples=["example"])]
    message_id: Annotated[
        str | UnsetType,
        Meta(description="The Message-ID of the mail whose link was used. Absent: no link was used."),
    ] = UNSET
    source: Annotated[
        str,
        Meta(
            description="How the recipient came to be on the list: `api` (a request), `one-click` (the button of a "
            "mail program), `form` (the page behind the link).",
            examples=["one-click"],
        ),
    ]
    reason: Annotated[str, Meta(description="Why: `unsubscribe`, or what the request said.", examples=["unsubscribe"])]
    remote_address: Annotated[str | UnsetType, Meta(description="The IP address of that request. Absent: unknown.")] = (
        UNSET
    )
    user_agent: Annotated[str | UnsetType, Meta(description="The User-Agent of that request. Absent: it had none.")] = (
        UNSET
    )
    created: Annotated[When, Meta(description="When.")]


class BlocklistEntries(Page, frozen=True, kw_only=True):
    """A page of one list."""

    list_id: Annotated[str, Meta(description="The list's id.", examples=["newsletter"])]
    addresses: Annotated[tuple[BlockedRecipient, ...], Meta(description="The recipients, by address.")]


class BlocklistQuery(PageQuery, frozen=True, kw_only=True):
    """Which page of the lists, or of a list."""


class BlocklistEntriesQuery(PageQuery, frozen=True, kw_only=True):
    """Which recipients of a list."""

    query: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="Only recipients whose address contains this. Absent: all.", examples=["example.com"]),
    ] = None


class BlocklistAdd(Request, frozen=True, kw_only=True):
    """A recipient who is to get no mail of a list."""

    account: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.ACCOUNT})],
        Meta(description="The account whose mail it is about.", examples=["example"]),
    ]
    recipient: Annotated[Email, Meta(description="The recipient's address.", examples=["ann@example.com"])]
    reason: Annotated[
        Line256,
        Meta(description="The reason, in your words; `skipped` of a submission shows it.", examples=["bounced"]),
    ] = "block"


class BlocklistAdded(Response, frozen=True, kw_only=True):
    """The recipient is on the list."""

    success: Annotated[bool, Meta(description="Always `true`.")] = True
    added: Annotated[bool, Meta(description="`false`: the recipient was on the list already, and nothing changed.")]


class BlocklistRemove(Request, frozen=True, kw_only=True):
    """The recipient to remove from a list."""

    EXAMPLE = {"recipient": "ann@example.com"}

    recipient: Annotated[Email, Meta(description="The recipient's address.", examples=["ann@example.com"])]


class BlocklistRemoved(Response, frozen=True, kw_only=True):
    """Whether the recipient was removed from the list."""

    deleted: Annotated[bool, Meta(description="`false`: the recipient was not on the list.")]


class Skipped(Response, frozen=True, kw_only=True):
    """Why a message is not sent: its recipient is on the blocklist of its list, or suppressed."""

    EXAMPLE = {"reason": "unsubscribe", "listId": "newsletter"}

    reason: Annotated[str, Meta(description="Why the recipient is on it.", examples=["unsubscribe"])]
    list_id: Annotated[
        str | UnsetType,
        Meta(description="The list's id. Absent: the recipient is suppressed.", examples=["newsletter"]),
    ] = UNSET
