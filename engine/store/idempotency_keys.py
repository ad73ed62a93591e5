"""Idempotency keys: the request that used a key of an account, and its answer.

A key is written in the commit that accepts the message and removed with the message's record, so no key exists without
its message.
"""

from __future__ import annotations

import sqlite3

import msgspec

from engine.store.writer import Tx


class Kept(msgspec.Struct, frozen=True):
    """A used key: the SHA-256 of the request, and its answer as JSON."""

    fingerprint: bytes
    answer: bytes


def find(db: sqlite3.Connection | Tx, account: str, key: str) -> Kept | None:
    """What this key was used for; None if it was never used or its message's record is gone."""
    row = db.execute(
        "SELECT fingerprint, answer FROM idempotency WHERE account = ? AND key = ?", (account, key)
    ).fetchone()
    return Kept(*row) if row else None


def of_message(db: sqlite3.Connection, message: int) -> str | None:
    """The key that a message was submitted with."""
    row = db.execute("SELECT key FROM idempotency WHERE message = ?", (message,)).fetchone()
    return row[0] if row else None


def keep(tx: Tx, account: str, key: str, message: int, kept: Kept) -> None:
    """Store a key that `find` does not know."""
    tx.execute(
        "INSERT INTO idempotency (account, key, fingerprint, message, answer) VALUES (?, ?, ?, ?, ?)",
        (account, key, kept.fingerprint, message, kept.answer),
    )
