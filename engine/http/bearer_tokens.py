"""Authentication: a bearer token in the header, or `?access_token=` for clients that cannot set a header.

The token is looked up in the store on every request (about 10 µs), so one revoked from the command line is refused from
the next request on. A caller on the control socket without a token is the owner. Unknown, expired and malformed tokens
get the same answer, and an address that sends many of them has to wait (`engine.edge.wrong_tokens`).
`engine.edge.token_gate` checks a valid token further; `engine.http.account_tokens` says what one for one account may
do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.datastructures import Headers, MultiDict

from engine.edge.token_gate import Asked, Refused, TokenGate
from engine.edge.token_rates import Counted
from engine.edge.wrong_tokens import WrongTokens
from engine.errors import Problem
from engine.http.account_tokens import elsewhere
from engine.http.client_address import UNKNOWN, Addresses
from engine.http.control_requests import OWNER, is_owner
from engine.http.operation import Operation
from engine.http.path_ids import decoded_ids
from engine.model.token_permissions import ADMIN
from engine.store import tokens
from engine.store.tokens import Token
from engine.world import World

LOOK_EVERY = 25.0
"""Seconds after which an idle stream checks whether its token was revoked."""


_WORDS = {
    "scope": "scope",
    "account": "account",
    "restricted": "permission",
    "action": "permission",
    "group": "permission",
    "address": "address",
    "referrer": "referrer",
}


class Admitted(msgspec.Struct, frozen=True):
    """A caller that was let in, and the decoded ids in the path.

    `counted` is what is left of its rate limit, None without one; `asked` is None for the owner.
    """

    caller: Token
    ids: dict[str, str]
    counted: Counted | None = None
    asked: Asked | None = None

    def headers(self) -> dict[str, str]:
        """The header fields about the rate limit, for every answer."""
        counted = self.counted
        return {} if counted is None else _limits(counted) | {"X-RateLimit-Remaining": str(counted.remaining)}


class Door:
    """Authenticates callers, and slows down addresses that keep sending wrong tokens."""

    def __init__(
        self, db: sqlite3.Connection, world: World, wrong: WrongTokens, gate: TokenGate, addresses: Addresses
    ) -> None:
        self._db = db
        self._world = world
        self._wrong = wrong
        self._gate = gate
        self.addresses = addresses

    def admit(self, request: BaseRequestWebsocket, operation: Operation, path: Mapping[str, str]) -> Admitted:
        """Let the caller in to an operation at `path`, whose ids are as sent.

        Raises `Problem`: 400 for ids that cannot be decoded; 401 without a valid token; 403 if it may not be used for
        this; 429 beyond its rate limit, and for a wrong one from an address that has sent too many.
        """
        digits = given(request.headers, request.args)
        if not digits and is_owner(request):
            return Admitted(OWNER, decoded_ids(path))
        if not digits:
            raise Problem(401, "Missing authentication", headers={"WWW-Authenticate": "Bearer"})
        token = tokens.find(self._db, digits, self._world.now())
        address = self.addresses.of(request)
        if token is None:
            raise self._wrong.refusal(address)
        ids = decoded_ids(path)
        asked = Asked(
            operation.method,
            operation.path,
            operation.scope or "",
            operation.grant,
            None if address == UNKNOWN else address,
            # Looking up a missing header takes longer than all the rest here.
            None if token.restrictions is None else request.headers.get("Referer"),
            ids.get("account", token.account),
            token.account is not None and elsewhere(operation.access, token.account, ids, request.args.get("account")),
        )
        try:
            return Admitted(token, ids, self._gate.enter(token, asked), asked)
        except Refused as refused:
            raise _problem(refused, asked) from None

    def log(self, admitted: Admitted) -> None:
        """Put a request that changed nothing into its token's log."""
        if admitted.asked is not None:
            self._gate.note(admitted.caller, admitted.asked)


def _problem(refused: Refused, asked: Asked) -> Problem:
    if refused.counted is not None:
        wait = refused.counted.reset
        headers = _limits(refused.counted) | {"Retry-After": str(wait)}
        return Problem(429, "Rate limit exceeded", headers=headers, code="RateLimited", ttl=wait)
    more: dict[str, Any] = {}
    match refused.reason:
        case "scope":
            more = {"requestedScope": asked.scope}
        case "restricted" | "action" | "group":
            more = {"requiredPermission": {"action": asked.grant.action, "group": asked.grant.group or ADMIN}}
        case "address":
            more = {"remoteAddress": asked.address}
    return Problem(403, f"Unauthorized {_WORDS[refused.reason]}", **more)


def _limits(counted: Counted) -> dict[str, str]:
    return {"X-RateLimit-Limit": str(counted.limit), "X-RateLimit-Reset": str(counted.reset)}


class Validity:
    """Tells a long request whether its token is still valid."""

    def __init__(self, db: sqlite3.Connection, world: World, caller: Token) -> None:
        self._db = db
        self._world = world
        self._caller = caller

    def holds(self) -> bool:
        """Whether the token has neither been revoked nor expired."""
        return self._caller is OWNER or tokens.exists(self._db, self._caller.hash, self._world.now())

    def seconds(self) -> float:
        """Seconds after which to ask again: until the token expires, at most `LOOK_EVERY`."""
        expires = self._caller.expires
        return LOOK_EVERY if expires is None else max(0.0, min(LOOK_EVERY, expires - self._world.now()))


def given(headers: Headers, arguments: MultiDict[str, str]) -> str:
    """The token in a request; "" if there is none."""
    header = headers.get("Authorization")
    if header is None:
        return arguments.get("access_token", "")
    kind, _, text = header.partition(" ")
    return text.strip() if kind.lower() == "bearer" else ""
