"""Who may call: a bearer token in the header, or `?access_token=` for clients that cannot set one.

The token is looked up in the store on every request (about 10 µs), so one revoked from the command line is refused from
the next request on. An unknown token and a malformed one get the same answer. What a token for one account may ask is
`engine.api.access`'s.
"""

from __future__ import annotations

import sqlite3

from werkzeug.datastructures import Headers, MultiDict

from engine.errors import Problem
from engine.store import tokens


def require(db: sqlite3.Connection, headers: Headers, arguments: MultiDict[str, str], scope: str) -> tokens.Token:
    """The caller's token. Raises `Problem` 401 without a good one, 403 when it lacks `scope`."""
    token = given(headers, arguments)
    if not token:
        raise Problem(401, "Missing authentication", headers={"WWW-Authenticate": "Bearer"})
    found = tokens.find(db, token)
    if found is None:
        raise Problem(401, "Bad token", headers={"WWW-Authenticate": 'Bearer error="Bad token"'})
    if not allows(found, scope):
        raise Problem(403, "Unauthorized scope", requestedScope=scope)
    return found


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
