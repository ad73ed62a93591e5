"""Who may call: a bearer token in the header, or `?access_token=` for clients that cannot set one.

The token is looked up in the store on every request (about 10 µs), so one revoked from the command line is refused from
the next request on. An unknown token and a malformed one get the same answer. A token for one account is let in where
the path or the query names an account, and sees no other; everywhere else only by a handler that knows about it.
"""

from __future__ import annotations

import sqlite3
from typing import TypeVar
from urllib.parse import unquote

import msgspec
from werkzeug.datastructures import Headers, MultiDict

from engine.errors import Problem
from engine.schema.fields import Request
from engine.store import tokens

QueryT = TypeVar("QueryT", bound=Request)


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


def narrowed(caller: tokens.Token | None, path: dict[str, str], query: QueryT, *, by_handler: bool) -> QueryT:
    """The query as a token for one account may ask it. Raises `Problem` 403 for what it must not see."""
    if caller is None or caller.account is None:
        return query
    named = unquote(path["account"]) if "account" in path else None
    asked = getattr(query, "account", None)
    if any(account not in (None, caller.account) for account in (named, asked)):
        raise Problem(403, "Unauthorized account")
    if hasattr(query, "account"):
        return msgspec.structs.replace(query, account=caller.account)
    if named is None and not by_handler:
        raise Problem(403, "Unauthorized account")
    return query
