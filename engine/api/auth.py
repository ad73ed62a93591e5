"""Who may call: a bearer token in the header, or `?access_token=` for clients that cannot set one.

The token is looked up in the store on every request (about 10 µs), so one revoked from the command line is refused from
the next request on. An unknown token and a malformed one get the same answer.
"""

from __future__ import annotations

import sqlite3

from werkzeug.datastructures import Headers, MultiDict

from engine.errors import Problem
from engine.store import tokens


def require(db: sqlite3.Connection, headers: Headers, arguments: MultiDict[str, str], scope: str) -> tokens.Token:
    """The caller's token. Raises `Problem` 401 without a good one, 403 when it lacks `scope`."""
    given = headers.get("Authorization")
    if given is not None:
        kind, _, text = given.partition(" ")
        token = text.strip() if kind.lower() == "bearer" else ""
    else:
        token = arguments.get("access_token", "")
    if not token:
        raise Problem(401, "Missing authentication", headers={"WWW-Authenticate": "Bearer"})
    found = tokens.find(db, token)
    if found is None:
        raise Problem(401, "Bad token", headers={"WWW-Authenticate": 'Bearer error="Bad token"'})
    if scope not in found.scopes and "*" not in found.scopes:
        raise Problem(403, "Unauthorized scope", requestedScope=scope)
    return found
