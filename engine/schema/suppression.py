"""Suppression: who gets no mail at all, and what that means for a message."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Address, Check, Email, Instant, Line256, Request, Response, When
from engine.schema.paging import Page, PageQuery

SUPPRESSED = {
    "recipient": "ann@example.com",
    "account": "example",
    "reason": "hard-bounce",
    "source": "event",
    "event": 4711,
    "created": "2026-11-22T11:45:23.564Z",
    "expires": None,
}
_Account = Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.ACCOUNT})]
_REASON = "Why: `hard-bounce`, `complaint`, or what the request said."


class SuppressedAddress(Response, frozen=True, kw_only=True):
    """A recipient who gets no mail."""

    EXAMPLE = SUPPRESSED

    recipient: Annotated[Address, Meta(description="The recipient's address.")]
    account: Annotated[
        str | None, Meta(description="The account whose mail it is about. `null`: the mail of all accounts.")
    ]
    reason: Annotated[str, Meta(description=_REASON, examples=["hard-bounce"])]
    source: Annotated[Literal["api", "event"], Meta(description="`event`: a bounce or a complaint. `api`: a request.")]
    event: Annotated[
        int | UnsetType, Meta(description="The number of the event that told it. Absent: a request did.")
    ] = UNSET
    created: Annotated[When, Meta(description="Since when.")]
    expires: Annotated[When | None, Meta(description="Until when. `null`: until it is removed.")]


class SuppressionPage(Page, frozen=True, kw_only=True):
    """A page of suppressed recipients."""

    suppressed: Annotated[tuple[SuppressedAddress, ...], Meta(description="The recipients, by address.")]


class SuppressionQuery(PageQuery, frozen=True, kw_only=True):
    """Which suppressed recipients."""

    account: Annotated[
        _Account | None,
        Meta(description="Only those of this account's own list. Absent: of all lists that the token may see."),
    ] = None
    query: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="Only recipients whose address contains this. Absent: all.", examples=["example.com"]),
    ] = None


class SuppressionAdd(Request, frozen=True, kw_only=True):
    """A recipient who is to get no mail."""

    EXAMPLE = {"recipient": "ann@example.com", "reason": "asked by telephone"}

    recipient: Annotated[Email, Meta(description="The recipient's address.")]
    account: Annotated[
        _Account | UnsetType,
        Meta(description="The account whose mail it is about. Absent: the token's, or else all accounts."),
    ] = UNSET
    reason: Annotated[Line256, Meta(description="The reason, in your words.")] = "request"
    expires: Annotated[
        Instant | UnsetType | None, Meta(description="Until when. `null` or absent: until it is removed.")
    ] = UNSET


class SuppressionAdded(Response, frozen=True, kw_only=True):
    """The recipient is suppressed."""

    added: Annotated[bool, Meta(description="`false`: there was an entry already; it was replaced.")]


class SuppressionRemove(Request, frozen=True, kw_only=True):
    """Whom to remove."""

    EXAMPLE = {"recipient": "ann@example.com"}

    recipient: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="The recipient's address, as it is listed. Absent: everyone; it takes `all=true`."),
    ] = None
    account: Annotated[
        _Account | None,
        Meta(description="Only from this account's own list. Absent: from all lists that the token may change."),
    ] = None
    all: Annotated[bool, Meta(description="`true`: remove everyone.")] = False


class SuppressionRemoved(Response, frozen=True, kw_only=True):
    """How many entries were removed."""

    deleted: Annotated[int, Meta(description="How many entries.", examples=[1])]


class SuppressedRecipient(Response, frozen=True, kw_only=True):
    """A recipient of a message who is suppressed, and what that meant."""

    EXAMPLE = {"recipient": "ann@example.com", "outcome": "skipped", "reason": "hard-bounce", "event": 4711}

    recipient: Annotated[Address, Meta(description="The recipient.")]
    outcome: Annotated[
        Literal["skipped", "sent"],
        Meta(description="`skipped`: the message does not go to this recipient. `sent`: `ifSuppressed` says to send."),
    ]
    reason: Annotated[str, Meta(description=_REASON, examples=["hard-bounce"])]
    event: Annotated[
        int | UnsetType, Meta(description="The number of the event that told it. Absent: a request did.")
    ] = UNSET
