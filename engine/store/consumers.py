"""Named consumers of the event stream: how far each has acknowledged.

A consumer belongs to the token that made it: `owner` is that token's account, or `""` if it is for all accounts.
"""

from __future__ import annotations

import sqlite3

import msgspec

from engine.store.writer import Tx


class Consumer(msgspec.Struct, frozen=True):
    """One row. `seq` is the last number acknowledged; times are in seconds since 1970."""

    owner: str
    name: str
    seq: int
    created: float
    acked: float | None


def find(db: sqlite3.Connection | Tx, owner: str, name: str) -> Consumer | None:
    """The consumer with this name; None if there is none."""
    row = db.execute(
        "SELECT owner, name, seq, created, acked FROM consumer WHERE owner = ? AND name = ?", (owner, name)
    ).fetchone()
    return Consumer(*row) if row else None


def every(db: sqlite3.Connection, owner: str | None) -> list[Consumer]:
    """All consumers of one owner (None: of all owners), by name."""
    rows = db.execute(
        "SELECT owner, name, seq, created, acked FROM consumer WHERE ?1 IS NULL OR owner = ?1 ORDER BY name, owner",
        (owner,),
    )
    return [Consumer(*row) for row in rows]


def make(tx: Tx, owner: str, name: str, seq: int, now: float) -> int:
    """Create the consumer at `seq` unless it exists; return its number."""
    tx.execute(
        "INSERT INTO consumer (owner, name, seq, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (owner, name, seq, now),
    )
    found = find(tx, owner, name)
    assert found is not None
    return found.seq


def acknowledge(tx: Tx, owner: str, name: str, seq: int, now: float) -> bool:
    """Move a consumer forward to `seq`, never back; False if the consumer is gone."""
    changed = tx.execute(
        "UPDATE consumer SET seq = max(seq, ?), acked = ? WHERE owner = ? AND name = ?", (seq, now, owner, name)
    )
    return bool(changed.rowcount)


def move(tx: Tx, owner: str, name: str, seq: int, now: float) -> bool:
    """Set a consumer to `seq`, forward or back; False if there is none."""
    changed = tx.execute("UPDATE consumer SET seq = ?, acked = ? WHERE owner = ? AND name = ?", (seq, now, owner, name))
    return bool(changed.rowcount)


def remove(tx: Tx, owner: str, name: str) -> bool:
    """Remove a consumer; False if there is none."""
    return bool(tx.execute("DELETE FROM consumer WHERE owner = ? AND name = ?", (owner, name)).rowcount)
