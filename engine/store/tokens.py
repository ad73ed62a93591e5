"""API tokens: 256 random bits, shown once and stored as a SHA-256 hash with a description and scopes.

A token may be limited to one account and may expire. The functions take a bare connection as well as a `Tx`, because
`engine tokens` works on the folder with or without a running engine. Nothing is cached: a token revoked from the
command line is refused from the next request on. Tokens are compared as hashes, through the table's index, so the time
of a look-up reveals nothing about a token. The start of the hash is the token's public id.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.store.writer import Tx
from engine.world import World

_COLUMNS = "hash, description, scopes, created, account, expires"
ID_LENGTH = 12
SCOPES = ("api", "smtp", "oauth-token", "metrics", "*")
"""The scopes: `api` for every request but two, `smtp` for the SMTP door, `oauth-token` for accounts' access tokens,
`metrics` for the metrics, `*` for everything, including future scopes.
"""


class Token(msgspec.Struct, frozen=True):
    """One stored token. Times in seconds since 1970; None means all accounts, or never expires."""

    hash: str
    description: str
    scopes: list[str]
    created: float
    account: str | None = None
    expires: float | None = None

    @property
    def id(self) -> str:
        """The public id that names it in lists and records without revealing it."""
        return self.hash[:ID_LENGTH]

    def holds(self, now: float) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires


def issue(
    db: sqlite3.Connection | Tx,
    description: str,
    scopes: list[str],
    world: World,
    account: str | None = None,
    lifetime: float | None = None,
) -> tuple[str, Token]:
    """Create a token, optionally for one account only and for `lifetime` seconds only.

    Returns its 64 hex digits, which cannot be read again later, and the stored token.
    """
    secret, now = world.token_bytes(32), world.now()
    expires = None if lifetime is None else now + lifetime
    token = Token(_hash(secret), description, scopes, now, account, expires)
    db.execute(
        f"INSERT INTO token ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        (token.hash, description, msgspec.json.encode(scopes).decode(), now, account, expires),
    )
    return secret.hex(), token


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
    return Token(row[0], row[1], msgspec.json.decode(row[2]), *row[3:])
