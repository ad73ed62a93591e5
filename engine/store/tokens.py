"""API tokens: 256 random bits, shown once and stored as a SHA-256 hash with a description and scopes.

A token may be limited to one account, by permissions and by restrictions, and may expire. The functions take a bare
connection as well as a `Tx`, because `engine tokens` works on the folder with or without a running engine. Nothing is
cached: a token revoked from the command line is refused from the next request on. Tokens are compared as hashes,
through the table's index, so the time of a look-up reveals nothing about a token. The start of the hash is the token's
public id.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.model import token_permissions, token_restrictions
from engine.model.token_permissions import Permissions
from engine.model.token_restrictions import Restrictions
from engine.store.writer import Tx
from engine.world import World

_COLUMNS = "hash, description, scopes, created, account, expires, permissions, restrictions"
_DETAILS = "ip, remote_address, metadata"
ID_LENGTH = 12
SCOPES = ("api", "smtp", "metrics", "mcp", "oauth-token", "*")
"""The scopes: `api` for the requests of the API, `smtp` for the SMTP door, `metrics` for the metrics, `mcp` for agents
(no operation requires it yet), `oauth-token` for accounts' access tokens, `*` for everything, including future scopes.
"""


class Token(msgspec.Struct, frozen=True):
    """One stored token. Times in seconds since 1970; None means all accounts, or never expires."""

    hash: str
    description: str
    scopes: list[str]
    created: float
    account: str | None = None
    expires: float | None = None
    permissions: Permissions | None = None
    restrictions: Restrictions | None = None

    @property
    def id(self) -> str:
        """The public id that names it in lists and records without revealing it."""
        return self.hash[:ID_LENGTH]

    def holds(self, now: float) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires


class Details(msgspec.Struct, frozen=True):
    """What is stored with a token but decides nothing: whom it is for, from where it was issued, its issuer's notes."""

    ip: str | None = None
    remote_address: str | None = None
    metadata: str | None = None


NO_DETAILS = Details()


def issue(
    db: sqlite3.Connection | Tx,
    description: str,
    scopes: list[str],
    world: World,
    account: str | None = None,
    lifetime: float | None = None,
    permissions: Permissions | None = None,
    restrictions: Restrictions | None = None,
    details: Details = NO_DETAILS,
) -> tuple[str, Token]:
    """Create a token, optionally for one account only and for `lifetime` seconds only.

    Returns its 64 hex digits, which cannot be read again later, and the stored token.
    """
    secret, now = world.token_bytes(32), world.now()
    expires = None if lifetime is None else now + lifetime
    token = Token(_hash(secret), description, scopes, now, account, expires, permissions, restrictions)
    add(db, token, details)
    return secret.hex(), token


def add(db: sqlite3.Connection | Tx, token: Token, details: Details = NO_DETAILS) -> None:
    """Store a token of which only the hash is known here."""
    db.execute(
        f"INSERT INTO token ({_COLUMNS}, {_DETAILS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token.hash,
            token.description,
            msgspec.json.encode(token.scopes).decode(),
            token.created,
            token.account,
            token.expires,
            token_permissions.stored(token.permissions),
            token_restrictions.stored(token.restrictions),
            *msgspec.structs.astuple(details),
        ),
    )


def find(db: sqlite3.Connection, token: str, now: float) -> Token | None:
    """The token with these 64 hex digits; None if it is unknown, expired or malformed."""
    found = _of_digits(db, token)
    return found if found is not None and found.holds(now) else None


def exists(db: sqlite3.Connection, hash_: str, now: float) -> bool:
    """Whether a token is still valid; long requests ask again. What a token may do never changes."""
    return (
        db.execute("SELECT 1 FROM token WHERE hash = ? AND (expires IS NULL OR expires > ?)", (hash_, now)).fetchone()
        is not None
    )


def valid(db: sqlite3.Connection, hash_: str, now: float) -> Token | None:
    """The token with this hash; None if it was revoked or has expired."""
    row = db.execute(f"SELECT {_COLUMNS} FROM token WHERE hash = ?", (hash_,)).fetchone()
    found = _token(row) if row else None
    return found if found is not None and found.holds(now) else None


def details(db: sqlite3.Connection, token: Token) -> Details:
    """The details of a token."""
    row = db.execute(f"SELECT {_DETAILS} FROM token WHERE hash = ?", (token.hash,)).fetchone()
    return Details(*row) if row else NO_DETAILS


def every(db: sqlite3.Connection) -> list[Token]:
    """All tokens, oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM token ORDER BY created, hash")
    return [_token(row) for row in rows]


def named(db: sqlite3.Connection, start: str) -> list[Token]:
    """The tokens whose hash begins with `start`, and the token whose own digits `start` is; oldest first."""
    itself = _of_digits(db, start)
    return [token for token in every(db) if token.hash.startswith(start) or token == itself]


def revoke(db: sqlite3.Connection | Tx, revoked: Iterable[Token]) -> None:
    """Remove these tokens."""
    db.executemany("DELETE FROM token WHERE hash = ?", [(each.hash,) for each in revoked])


def _of_digits(db: sqlite3.Connection, digits: str) -> Token | None:
    try:
        secret = bytes.fromhex(digits)
    except ValueError:
        return None
    row = db.execute(f"SELECT {_COLUMNS} FROM token WHERE hash = ?", (_hash(secret),)).fetchone()
    return _token(row) if row else None


def _hash(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _token(row: tuple[Any, ...]) -> Token:
    permissions, restrictions = token_permissions.read(row[6]), token_restrictions.read(row[7])
    return Token(row[0], row[1], msgspec.json.decode(row[2]), row[3], row[4], row[5], permissions, restrictions)
