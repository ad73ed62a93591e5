"""Who may call: a bearer token in the header, or `?access_token=` for clients that cannot set one.

The token is looked up in the store on every request (about 10 µs), so one revoked from the command line is refused from
the next request on. Who comes by the control socket without one is the owner. An unknown token, an expired and a
malformed one get the same answer, and an address that sends many of them waits (`engine.http.wrong_tokens`). What a
token for one account may ask is `engine.http.access`'s.
"""

from __future__ import annotations

import sqlite3

from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.datastructures import Headers, MultiDict

from engine.errors import Problem
from engine.http.client_address import Addresses
from engine.http.control_requests import OWNER, is_owner
from engine.http.wrong_tokens import WrongTokens
from engine.store import tokens
from engine.world import World

LOOK_EVERY = 25.0
"""Seconds after which a stream that is silent notices that its token was revoked."""


class Door:
    """Lets callers in. Knows where they come from, and who was wrong lately."""

    def __init__(self, db: sqlite3.Connection, world: World, wrong: WrongTokens, addresses: Addresses) -> None:
        self._db = db
        self._world = world
        self._wrong = wrong
        self.addresses = addresses

    def require(self, request: BaseRequestWebsocket, scope: str) -> tokens.Token:
        """The caller's token.

        Raises `Problem`: 401 without a good one, 429 for a bad one from an address that has sent too many, 403 when the
        token lacks `scope`.
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
    """A token over time: what goes on for long asks now and then."""

    def __init__(self, db: sqlite3.Connection, world: World, caller: tokens.Token) -> None:
        self._db = db
        self._world = world
        self._caller = caller

    def holds(self) -> bool:
        """Whether the token was not revoked and has not expired."""
        return self._caller is OWNER or tokens.exists(self._db, self._caller.hash, self._world.now())

    def seconds(self) -> float:
        """After how long to ask again at the latest: when it expires, or soon after it may have been revoked."""
        expires = self._caller.expires
        return LOOK_EVERY if expires is None else max(0.0, min(LOOK_EVERY, expires - self._world.now()))


def given(headers: Headers, arguments: MultiDict[str, str]) -> str:
    """The token in a request, "" without one."""
    header = headers.get("Authorization")
    if header is None:
        return arguments.get("access_token", "")
    kind, _, text = header.partition(" ")
    return text.strip() if kind.lower() == "bearer" else ""


def allows(token: tokens.Token, scope: str) -> bool:
    """Whether the token holds this scope."""
    return scope in token.scopes or "*" in token.scopes
