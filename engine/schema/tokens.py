"""API tokens, and the requests made with them, as the API shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import SINGLE, Check, Filled256, Instant, Ip, Line, Request, Response, When
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
Scope = Literal["api", "smtp", "metrics", "mcp", "oauth-token", "*"]
_ID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ABOUT_SCOPES = (
    "What it may be used for: `api`, every request of the API but one; `oauth-token`, that for an account's access "
    "token; `smtp`, submitting mail by SMTP; `metrics`, reading the metrics; `mcp`, nothing yet; `*`, everything."
)
_ABOUT_PERMISSIONS = (
    "What it may do (`actions`) and touch (`groups`); an operation names the two that it needs. Permissions only take "
    "away from what scopes and account allow. `null` or absent: nothing is taken away."
)
_ABOUT_RESTRICTIONS = "From where and how often it may be used. `null` or absent: from anywhere, as often as it likes."
_ABOUT_METADATA = "Notes of yours: the text of a JSON value."
_ABOUT_IP = "The address that the token is issued for, for information only."
_METADATA = '{"team": "shop"}'
MAX_METADATA = 1024 * 1024
"""Characters."""
Action = Literal["read", "write", "send", "destructive"]
Group = Literal[
    "account",
    "mailbox",
    "message",
    "submit",
    "outbox",
    "export",
    "template",
    "blocklist",
    "webhook",
    "gateway",
    "events",
    "diagnostics",
    "logs",
]
_Network = Annotated[str, Meta(min_length=1, max_length=50, extra={"check": Check.NETWORK})]
_Referrer = Annotated[Line, Meta(min_length=1, max_length=1024)]
_ABOUT_ACTIONS = (
    "What it may do: `read`; `write`; `send` messages; `destructive`, what removes something. Moving a message to the "
    "trash is `write`. `[]`: nothing. Absent: everything."
)
_ABOUT_GROUPS = (
    "What it may touch. `[]`: nothing. Absent: all of these. Operations that give out secrets, or that make or change "
    "what lasts longer than the token (accounts, tokens, settings, OAuth2 apps, gateways, webhook endpoints), have no "
    "group: a token with permissions may not use them."
)
_ABOUT_ADDRESSES = (
    "The addresses and networks from which it may be used. Behind a proxy that config.toml lists in `http.proxies`, "
    "the client's address counts. `null` or absent: all."
)
_ABOUT_REFERRERS = (
    "What the `Referer` of each request must match, as a whole and whatever its case: `*` stands for any text, and a "
    "pattern after `!` refuses. With them a request without `Referer` is refused, and so is SMTP. `null`, `[]` or "
    "absent: everything is allowed."
)
_ABOUT_MOST = "The most requests in one window. By SMTP each message counts."
_ABOUT_WINDOW = "The length of a window in seconds. It begins with its first request; a restart of the engine ends it."
_ABOUT_RATE = "How often it may be used. Beyond that the answer is 429. `null` or absent: as often as it likes."


class TokenPermissions(Request, frozen=True, kw_only=True):
    """What a token may do and touch."""

    EXAMPLE = {"actions": ["read", "send"], "groups": ["message", "submit"]}

    actions: Annotated[
        Annotated[tuple[Action, ...], SINGLE, Meta(max_length=10)] | UnsetType, Meta(description=_ABOUT_ACTIONS)
    ] = UNSET
    groups: Annotated[
        Annotated[tuple[Group, ...], SINGLE, Meta(max_length=50)] | UnsetType, Meta(description=_ABOUT_GROUPS)
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """`{}` could mean everything or nothing."""
        if get("actions") is UNSET and get("groups") is UNSET:
            yield "", "must have actions or groups"


class TokenRateLimit(Request, frozen=True, kw_only=True):
    """How often a token may be used."""

    max_requests: Annotated[Annotated[int, Meta(ge=1, le=2**31)], Meta(description=_ABOUT_MOST, examples=[20])]
    time_window: Annotated[Annotated[int, Meta(ge=1, le=2**31)], Meta(description=_ABOUT_WINDOW, examples=[60])]


class TokenRestrictions(Request, frozen=True, kw_only=True):
    """From where and how often a token may be used."""

    EXAMPLE = {"addresses": ["192.0.2.0/24"], "rateLimit": {"maxRequests": 20, "timeWindow": 60}}

    referrers: Annotated[
        Annotated[tuple[_Referrer, ...], SINGLE, Meta(max_length=100)] | UnsetType | None,
        Meta(description=_ABOUT_REFERRERS, examples=[["https://shop.example.com/*"]]),
    ] = UNSET
    addresses: Annotated[
        Annotated[tuple[_Network, ...], SINGLE, Meta(max_length=1000)] | UnsetType | None,
        Meta(description=_ABOUT_ADDRESSES, examples=[["192.0.2.7", "2001:db8::/32"]]),
    ] = UNSET
    rate_limit: Annotated[TokenRateLimit | UnsetType | None, Meta(description=_ABOUT_RATE)] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A token that may be used from nowhere is a mistake."""
        if get("addresses") == ():
            yield "addresses", "must have at least one"


class ShownPermissions(Response, frozen=True, kw_only=True):
    """What a token may do and touch."""

    EXAMPLE = TokenPermissions.EXAMPLE

    actions: Annotated[tuple[str, ...] | UnsetType, Meta(description=_ABOUT_ACTIONS)] = UNSET
    groups: Annotated[tuple[str, ...] | UnsetType, Meta(description=_ABOUT_GROUPS)] = UNSET


class ShownRateLimit(Response, frozen=True, kw_only=True):
    """How often a token may be used."""

    max_requests: Annotated[int, Meta(description=_ABOUT_MOST, examples=[20])]
    time_window: Annotated[int, Meta(description=_ABOUT_WINDOW, examples=[60])]


class ShownRestrictions(Response, frozen=True, kw_only=True):
    """From where and how often a token may be used."""

    EXAMPLE = {"referrers": None, **TokenRestrictions.EXAMPLE}

    referrers: Annotated[tuple[str, ...] | None, Meta(description=_ABOUT_REFERRERS)]
    addresses: Annotated[tuple[str, ...] | None, Meta(description=_ABOUT_ADDRESSES)]
    rate_limit: Annotated[ShownRateLimit | None, Meta(description=_ABOUT_RATE)]


class TokenAccess(Response, frozen=True, kw_only=True):
    """The last use of a token."""

    time: Annotated[When | None, Meta(description="When it was last presented. `null`: never.")]
    ip: Annotated[str | None, Meta(description="The client's address then. `null`: unknown.", examples=["192.0.2.7"])]


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
    permissions: Annotated[
        TokenPermissions | UnsetType | None,
        Meta(description=f"{_ABOUT_PERMISSIONS} A token with permissions issues none."),
    ] = UNSET
    restrictions: Annotated[
        TokenRestrictions | UnsetType | None,
        Meta(
            description=f"{_ABOUT_RESTRICTIONS} A token that is restricted itself issues only tokens that are "
            "restricted at least as much, in each of these and in `expires` (`WiderToken`)."
        ),
    ] = UNSET
    metadata: Annotated[
        Annotated[str, Meta(max_length=MAX_METADATA, extra={"check": Check.JSON})] | UnsetType | None,
        Meta(description=f'{_ABOUT_METADATA} `null`, `""` or absent: none.', examples=[_METADATA]),
    ] = UNSET
    ip: Annotated[Ip | UnsetType | None, Meta(description=f"{_ABOUT_IP} `null` or absent: none.")] = UNSET

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
    permissions: Annotated[ShownPermissions | None, Meta(description=_ABOUT_PERMISSIONS)]
    restrictions: Annotated[ShownRestrictions | None, Meta(description=_ABOUT_RESTRICTIONS)]
    metadata: Annotated[
        str | UnsetType,
        Meta(description=f"{_ABOUT_METADATA} A list leaves out what is beyond 4 MiB on a page."),
    ] = UNSET
    ip: Annotated[str | UnsetType, Meta(description=_ABOUT_IP)] = UNSET
    remote_address: Annotated[str | UnsetType, Meta(description="The address of the client that issued it.")] = UNSET
    created: Annotated[When, Meta(description="When it was issued.")]
    access: Annotated[TokenAccess, Meta(description="Its last use.")]
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
    """One request made with a token."""

    EXAMPLE = {
        "time": "2026-11-27T07:30:49.683Z",
        "ip": "127.0.0.1",
        "method": "PUT",
        "path": "/v1/account/{account}",
        "action": "write",
        "group": "admin",
        "account": "jane",
        "status": "allowed",
        "reason": None,
        "change": "account.update",
        "object": "jane",
    }

    time: Annotated[When, Meta(description="When it was made.")]
    ip: Annotated[str | None, Meta(description="The client's address. `null`: unknown.", examples=["192.0.2.7"])]
    method: Annotated[str | None, Meta(description="The method, or `SMTP` for a login there.", examples=["PUT"])]
    path: Annotated[
        str | None, Meta(description="The path of the operation, or `AUTH`.", examples=["/v1/account/{account}"])
    ]
    action: Annotated[str | None, Meta(description="The action that it needs.", examples=["write"])]
    group: Annotated[
        str | None, Meta(description="The group that it needs; `admin` for one without a group.", examples=["message"])
    ]
    account: Annotated[str | None, Meta(description="The account that it was about. `null`: none, or not known.")]
    status: Annotated[Literal["allowed", "denied"], Meta(description="Whether the token was let in.")]
    reason: Annotated[
        str | None,
        Meta(
            description="Why it was not: `scope`, `account`, `action`, `group`, `restricted` (no permissions allow "
            "this), `address`, `referrer` or `rateLimit`.",
            examples=["group"],
        ),
    ]
    change: Annotated[
        str | None,
        Meta(description="What was changed: a noun and a verb. `null`: nothing.", examples=["account.update"]),
    ]
    object: Annotated[
        str | None,
        Meta(description="What was changed: an id, or the names of settings. `null`: nothing.", examples=["example"]),
    ]


class TokenLog(Page, frozen=True, kw_only=True):
    """One page of the requests made with a token, newest first."""

    token: Annotated[str, Meta(description="The token's id.", examples=["3f9a12bc44de"])]
    entries: Annotated[tuple[TokenLogEntry, ...], Meta(description="The entries, newest first.")]
