"""Named consumers of the event stream: how far each has acknowledged.

A consumer belongs to whoever's token made it: `owner` is the account of a token for one account, `""` otherwise.
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
    """The consumer of this name, None when there is none."""
    row = db.execute(
        "SELECT owner, name, seq, created, acked FROM consumer WHERE owner = ? AND name = ?", (owner, name)
    ).fetchone()
    return Consumer(*row) if row else None


def every(db: sqlite3.Connection, owner: str | None) -> list[Consumer]:
    """All consumers of one owner (None: of everybody), by name."""
    rows = db.execute(
        "SELECT owner, name, seq, created, acked FROM consumer WHERE ?1 IS NULL OR owner = ?1 ORDER BY name, owner",
        (owner,),
    )
    return [Consumer(*row) for row in rows]


def make(tx: Tx, owner: str, name: str, seq: int, now: float) -> int:
    """Have a consumer, from `seq` on if it is new; the number it stands at."""
    tx.execute(
        "INSERT INTO consumer (owner, name, seq, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (owner, name, seq, now),
    )
    found = find(tx, owner, name)
    assert found is not None
    return found.seq


def acknowledge(tx: Tx, owner: str, name: str, seq: int, now: float) -> bool:
    """Move a consumer forward to `seq`; False when it is gone. An older number changes nothing."""
    changed = tx.execute(
        "UPDATE consumer SET seq = max(seq, ?), acked = ? WHERE owner = ? AND name = ?", (seq, now, owner, name)
    )
    return bool(changed.rowcount)


def move(tx: Tx, owner: str, name: str, seq: int, now: float) -> bool:
    """Put a consumer at `seq`, forward or back; False when there is none."""
    changed = tx.execute("UPDATE consumer SET seq = ?, acked = ? WHERE owner = ? AND name = ?", (seq, now, owner, name))
    return bool(changed.rowcount)


def remove(tx: Tx, owner: str, name: str) -> bool:
    """Forget a consumer; False when there is none."""
    return bool(tx.execute("DELETE FROM consumer WHERE owner = ? AND name = ?", (owner, name)).rowcount)
