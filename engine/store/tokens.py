"""API tokens: 256 random bits, shown once, kept as a SHA-256 hash with a description, scopes, and maybe the one account
it is for.

The functions take a bare connection as well as a `Tx`, because `engine tokens` works on the folder with or without a
running engine. Nothing is cached: a token revoked from the command line is refused from the next request on.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

import msgspec

from engine.store.writer import Tx
from engine.world import World

_COLUMNS = "hash, description, scopes, created, account"


class Token(msgspec.Struct, frozen=True):
    """One token as it is stored. `created` is in seconds since 1970; `account` is the one it is for, None for all."""

    hash: str
    description: str
    scopes: list[str]
    created: float
    account: str | None = None


def issue(
    db: sqlite3.Connection | Tx, description: str, scopes: list[str], world: World, account: str | None = None
) -> str:
    """Make a token, for one account only if it is named, and return its 64 hex digits, which nobody can read again."""
    secret = world.token_bytes(32)
    db.execute(
        "INSERT INTO token (hash, description, scopes, created, account) VALUES (?, ?, ?, ?, ?)",
        (hashlib.sha256(secret).hexdigest(), description, msgspec.json.encode(scopes).decode(), world.now(), account),
    )
    return secret.hex()


def find(db: sqlite3.Connection, token: str) -> Token | None:
    """The token with these 64 hex digits; None when it is unknown or is not one."""
    try:
        secret = bytes.fromhex(token)
    except ValueError:
        return None
    row = db.execute(f"SELECT {_COLUMNS} FROM token WHERE hash = ?", (hashlib.sha256(secret).hexdigest(),)).fetchone()
    return _token(row) if row else None


def exists(db: sqlite3.Connection, hash_: str) -> bool:
    """Whether a token that was found still is there, for whoever goes on for long; what it may do never changes."""
    return db.execute("SELECT 1 FROM token WHERE hash = ?", (hash_,)).fetchone() is not None


def remove_account(tx: Tx, account: str) -> None:
    """Remove the tokens that are for this account alone."""
    tx.execute("DELETE FROM token WHERE account = ?", (account,))


def every(db: sqlite3.Connection) -> list[Token]:
    """All tokens, oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM token ORDER BY created, hash")
    return [_token(row) for row in rows]


def revoke(db: sqlite3.Connection, start: str) -> int:
    """Remove the tokens whose hash, or whose own digits, are `start`, or whose hash begins with it; how many went."""
    hashes = [token.hash for token in every(db) if token.hash.startswith(start)]
    found = find(db, start)
    if found is not None:
        hashes.append(found.hash)
    db.executemany("DELETE FROM token WHERE hash = ?", [(each,) for each in hashes])
    return len(hashes)


def _token(row: tuple[Any, ...]) -> Token:
    return Token(row[0], row[1], msgspec.json.decode(row[2]), row[3], row[4])
