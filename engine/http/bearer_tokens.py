"""Authentication: a bearer token in the header, or `?access_token=` for clients that cannot set a header.

The token is looked up in the store on every request (about 10 µs), so one revoked from the command line is refused from
the next request on. A caller on the control socket without a token is the owner. Unknown, expired and malformed tokens
get the same answer, and an address that sends many of them has to wait (`engine.edge.wrong_tokens`). What a token for
one account may do is decided in `engine.http.account_tokens`.
"""

from __future__ import annotations

import sqlite3

from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.datastructures import Headers, MultiDict

from engine.edge.token_scopes import allows
from engine.edge.wrong_tokens import WrongTokens
from engine.errors import Problem
from engine.http.client_address import Addresses
from engine.http.control_requests import OWNER, is_owner
from engine.store import tokens
from engine.world import World

LOOK_EVERY = 25.0
"""Seconds after which an idle stream checks whether its token was revoked."""


class Door:
    """Authenticates callers, and slows down addresses that keep sending wrong tokens."""

    def __init__(self, db: sqlite3.Connection, world: World, wrong: WrongTokens, addresses: Addresses) -> None:
        self._db = db
        self._world = world
        self._wrong = wrong
        self.addresses = addresses

    def require(self, request: BaseRequestWebsocket, scope: str) -> tokens.Token:
        """The caller's token.

        Raises `Problem`: 401 without a valid token, 429 for a wrong one from an address that has sent too many, 403 if
        the token lacks `scope`.
        """
        token = given(request.headers, request.args)
        if not token and is_owner(request):
            return OWNER
        if not token:
            raise Problem(401, "Missing authentication", headers={"WWW-Authenticate": "Bearer"})
        found = tokens.find(self._db, token, self._world.now())
        if found is None:
            raise self._wrong.refusal(self.addresses.of(request))
        if not allows(found, scope):
            raise Problem(403, "Unauthorized scope", requestedScope=scope)
        return found


class Validity:
    """Tells a long request whether its token is still valid."""

    def __init__(self, db: sqlite3.Connection, world: World, caller: tokens.Token) -> None:
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
