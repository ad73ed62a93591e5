"""API tokens, and the changes made with them, as the API shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import SINGLE, Filled256, Instant, Line, Request, Response, When
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
Scope = Literal["api", "smtp", "oauth-token", "metrics", "*"]
_ID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ABOUT_SCOPES = (
    "What it may do: `api`, every request but two; `oauth-token`, that for an account's access token; `metrics`, that "
    "for the metrics; `smtp`, submit mail by SMTP; `*`, everything."
)


class TokenQuery(PageQuery, frozen=True, kw_only=True):
    """Query of `GET /v1/tokens`."""

    EXAMPLE = {"query": "shop"}

    query: Annotated[
        Annotated[str, Meta(max_length=1024)] | None,
        Meta(description="Only tokens whose description, account or id contains this. Absent: all."),
    ] = None
    account: Annotated[
        Filled256 | None, Meta(description="Only tokens for this account. Absent: all.", examples=["example"])
    ] = None


class TokenCreate(Request, frozen=True, kw_only=True):
    """A token to issue."""

    EXAMPLE = {"description": "shop backend", "scopes": ["api"], "account": "example"}

    account: Annotated[
        Filled256 | UnsetType | None,
        Meta(description="The only account that it may see and use. `null` or absent: all.", examples=["example"]),
    ] = UNSET
    description: Annotated[
        Annotated[Line, Meta(max_length=1024)], Meta(description="What it is for.", examples=["shop backend"])
    ]
    scopes: Annotated[
        Annotated[tuple[Scope, ...], SINGLE, Meta(max_length=10)],
        Meta(description=f"{_ABOUT_SCOPES} A token gives only scopes that it has.", examples=[["api"]]),
    ]
    expires: Annotated[Instant | UnsetType | None, Meta(description="When it expires. `null` or absent: never.")] = (
        UNSET
    )

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A token that may do nothing is a mistake."""
        if get("scopes") == ():
            yield "scopes", "must have at least one"


class TokenCreated(Response, frozen=True, kw_only=True):
    """The token is issued."""

    token: Annotated[
        str,
        Meta(
            description="The token: 64 hexadecimal digits. It is shown here only; the engine keeps its hash.",
            examples=["f05d76644ea39c4a2ee33e7bffe55808b716a34b51d67b33c7d60498b0f89bc1"],
        ),
    ]
    id: Annotated[str, Meta(description="The token's id: its hash.", examples=[_ID])]


class TokenShown(Response, frozen=True, kw_only=True):
    """A token, without itself."""

    id: Annotated[str, Meta(description="The token's id: its hash.", examples=[_ID])]
    account: Annotated[
        str | None, Meta(description="The only account that it may see and use. `null`: all.", examples=["example"])
    ]
    description: Annotated[str, Meta(description="What it is for.", examples=["shop backend"])]
    scopes: Annotated[tuple[str, ...], Meta(description=_ABOUT_SCOPES, examples=[["api"]])]
    created: Annotated[When, Meta(description="When it was issued.")]
    expires: Annotated[When | UnsetType, Meta(description="When it expires. Absent: never.")] = UNSET


class TokenList(Page, frozen=True, kw_only=True):
    """A page of the tokens, oldest first."""

    account: Annotated[str | None, Meta(description="The `account` of the request. `null`: all.", examples=["example"])]
    tokens: Annotated[tuple[TokenShown, ...], Meta(description="The tokens. Expired ones are there until revoked.")]


class TokenRevoked(Response, frozen=True, kw_only=True):
    """The token is refused from the next request on."""

    deleted: Annotated[bool, Meta(description="Whether there was one.", examples=[True])]


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
