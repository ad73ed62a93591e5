"""The changes made with a token, as the API shows them."""

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

    EXAMPLE = {"pageSize": 1}

    page_size: Annotated[Annotated[int, Meta(ge=1, le=200)], Meta(description="The number of entries on a page.")] = 20


class TokenLogEntry(Response, frozen=True, kw_only=True):
    """One change made with a token."""

    EXAMPLE = {
        "time": "2026-11-27T07:30:49.683Z",
        "ip": "127.0.0.1",
        "method": "PUT",
        "path": "/v1/account/{account}",
        "action": "account.update",
        "group": "account",
        "account": "jane",
        "object": "jane",
        "status": "allowed",
        "reason": None,
    }

    time: Annotated[When, Meta(description="When the change was made.")]
    ip: Annotated[str | None, Meta(description="The client's address.", examples=["192.0.2.7"])]
    method: Annotated[str | None, Meta(description="The method of the request.", examples=["PUT"])]
    path: Annotated[str | None, Meta(description="The path of the operation.", examples=["/v1/account/{account}"])]
    action: Annotated[str, Meta(description="What was done: a noun and a verb.", examples=["account.update"])]
    group: Annotated[str, Meta(description="The noun of `action`.", examples=["account"])]
    account: Annotated[str | None, Meta(description="The account that was changed. `null`: it was something else.")]
    object: Annotated[str, Meta(description="What was changed: an id, or the names of settings.", examples=["example"])]
    status: Annotated[
        Literal["allowed"], Meta(description="Always `allowed`: reads and refused requests are not recorded.")
    ]
    reason: Annotated[None, Meta(description="Always `null`.")]


class TokenLog(Page, frozen=True, kw_only=True):
    """One page of the changes made with a token, newest first."""

    token: Annotated[str, Meta(description="The token's id.", examples=["3f9a12bc44de"])]
    entries: Annotated[tuple[TokenLogEntry, ...], Meta(description="The entries, newest first.")]
