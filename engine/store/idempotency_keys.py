"""Idempotency keys: what was asked for under a key of an account, and the answer it got.

A key is written in the commit that takes the message in and goes with that message's record, so there is never a key
without its message.
"""

from __future__ import annotations

import sqlite3

import msgspec

from engine.store.writer import Tx


class Kept(msgspec.Struct, frozen=True):
    """A key that was used: the SHA-256 of the request, and its answer as JSON."""

    fingerprint: bytes
    answer: bytes


def find(db: sqlite3.Connection | Tx, account: str, key: str) -> Kept | None:
    """What this key stands for; None when it was never used, or its message's record is gone."""
    row = db.execute(
        "SELECT fingerprint, answer FROM idempotency WHERE account = ? AND key = ?", (account, key)
    ).fetchone()
    return Kept(*row) if row else None


def of_message(db: sqlite3.Connection, message: int) -> str | None:
    """The key a message was handed in with."""
    row = db.execute("SELECT key FROM idempotency WHERE message = ?", (message,)).fetchone()
    return row[0] if row else None


def keep(tx: Tx, account: str, key: str, message: int, kept: Kept) -> None:
    """Write a key that `find` does not know."""
    tx.execute(
        "INSERT INTO idempotency (account, key, fingerprint, message, answer) VALUES (?, ?, ?, ?, ?)",
        (account, key, kept.fingerprint, message, kept.answer),
    )
