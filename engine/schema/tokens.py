"""What tokens have changed, as the API shows it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from engine.schema.fields import Response, When
from engine.schema.paging import Page, PageQuery

TokenId = Annotated[
    str,
    Meta(
        min_length=1,
        description="The token's id, as `engine tokens list` shows it, or its whole hash.",
        examples=["3f9a12bc44de"],
    ),
]
"""A token in a path."""


class TokenLogQuery(PageQuery, frozen=True, kw_only=True):
    """Query of `GET /v1/tokens/{token}/log`."""

    page_size: Annotated[Annotated[int, Meta(ge=1, le=200)], Meta(description="Entries on a page.")] = 20


class TokenLogEntry(Response, frozen=True, kw_only=True):
    """One change that was made with a token."""

    time: Annotated[When, Meta(description="When it was made.")]
    ip: Annotated[str | None, Meta(description="The client's address.", examples=["192.0.2.7"])]
    method: Annotated[str | None, Meta(description="The method of the request.", examples=["PUT"])]
    path: Annotated[str | None, Meta(description="The path of the operation.", examples=["/v1/account/{account}"])]
    action: Annotated[str, Meta(description="What was done: a noun and a verb.", examples=["account.update"])]
    group: Annotated[str, Meta(description="The noun.", examples=["account"])]
    account: Annotated[str | None, Meta(description="The account that was changed, if it was one.")]
    object: Annotated[str, Meta(description="What was changed: an id, or names of settings.", examples=["example"])]
    status: Annotated[Literal["allowed"], Meta(description="Only changes that were made are recorded.")]
    reason: Annotated[None, Meta(description="Always `null`.")]


class TokenLog(Page, frozen=True, kw_only=True):
    """One page of what a token has changed, newest first."""

    token: Annotated[str, Meta(description="The token's id.", examples=["3f9a12bc44de"])]
    entries: Annotated[tuple[TokenLogEntry, ...], Meta(description="The entries, newest first.")]
