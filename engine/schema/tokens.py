"""What tokens have changed, as the API shows it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from engine.schema.fields import Instant, Request, Response


class TokenLogQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/tokens/{token}/log`."""

    page: Annotated[Annotated[int, Meta(ge=0, le=1_048_576)], Meta(description="Page number, from 0.")] = 0
    page_size: Annotated[Annotated[int, Meta(ge=1, le=200)], Meta(description="Entries on a page.")] = 20


class TokenLogEntry(Response, frozen=True, kw_only=True):
    """One change that was made with a token."""

    time: Annotated[Instant, Meta(description="When it was made.")]
    ip: Annotated[str | None, Meta(description="The client's address.", examples=["192.0.2.7"])]
    method: Annotated[str | None, Meta(description="The method of the request.", examples=["PUT"])]
    path: Annotated[str | None, Meta(description="The path of the operation.", examples=["/v1/account/{account}"])]
    action: Annotated[str, Meta(description="What was done: a noun and a verb.", examples=["account.update"])]
    group: Annotated[str, Meta(description="The noun.", examples=["account"])]
    account: Annotated[str | None, Meta(description="The account that was changed, if it was one.")]
    object: Annotated[str, Meta(description="What was changed: an id, or names of settings.", examples=["example"])]
    status: Annotated[Literal["allowed"], Meta(description="Only changes that were made are recorded.")]
    reason: Annotated[None, Meta(description="Always `null`.")]


class TokenLog(Response, frozen=True, kw_only=True):
    """One page of what a token has changed, newest first."""

    token: Annotated[str, Meta(description="The token's id.", examples=["3f9a12bc44de"])]
    total: Annotated[int, Meta(description="Entries on all pages.")]
    page: Annotated[int, Meta(description="This page, from 0.")]
    pages: Annotated[int, Meta(description="Number of pages.")]
    entries: Annotated[tuple[TokenLogEntry, ...], Meta(description="The entries, newest first.")]
