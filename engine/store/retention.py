"""Removes ended messages, events and audit entries, a few rows at a time.

A message is removed with its recipients, attempts, idempotency key and body. A message whose Sent copy is still owed
stays, and so does the newest event, because the next event's number follows from it.
"""

from __future__ import annotations

import itertools
import sqlite3

import msgspec

from engine.store import events
from engine.store.bodies import Spool, drop
from engine.store.writer import Tx

STEP_ROWS = 100
"""Rows that one step may remove; a message with more recipients than that takes a whole step."""


class SweepPosition(msgspec.Struct, frozen=True):
    """How far a sweep has come: it has examined everything that ended before this (seconds since 1970)."""

    ended: float = 0.0
    id: int = 0


def remove_messages(tx: Tx, spool: Spool, before: float, place: SweepPosition) -> tuple[int, SweepPosition | None]:
    """Remove the next messages after `place` that ended before `before`.

    Returns how many were removed and where to continue; None if no more are left.
    """
    rows = tx.execute(
        "SELECT id, ended, (SELECT count(*) FROM recipient WHERE message = id) + attempts_made + 1, "
        "EXISTS (SELECT 1 FROM sent_copy WHERE message = id) FROM message "
        "WHERE ended IS NOT NULL AND (ended, id) > (?, ?) AND ended < ? ORDER BY ended, id LIMIT ?",
        (place.ended, place.id, before, STEP_ROWS),
    ).fetchall()
    removed = size = 0
    for message, ended, its_rows, copy_owed in rows:
        if size and size + its_rows > STEP_ROWS:
            return removed, place
        place = SweepPosition(ended, message)
        if copy_owed:
            continue
        size += its_rows
        removed += 1
        drop(tx, message, spool)
        tx.execute("DELETE FROM message WHERE id = ?", (message,))
    return removed, place if len(rows) == STEP_ROWS else None


def remove_events(tx: Tx, before: float) -> int:
    """Remove old events, those created before `before` but never the newest; return how many."""
    rows = tx.execute(
        "SELECT seq, created FROM event WHERE seq < (SELECT max(seq) FROM event) ORDER BY seq LIMIT ?", (STEP_ROWS,)
    ).fetchall()
    # Stop at the first event that stays, so that the remaining numbers have no gaps.
    old = 0
    while old < len(rows) and rows[old][1] < before:
        old += 1
    if old:
        events.remove(tx, rows[old - 1][0])
    return old


def remove_audit(tx: Tx, before: float) -> int:
    """Remove the audit entries made before `before`; return how many."""
    rows = tx.execute("SELECT id, time FROM audit ORDER BY id LIMIT ?", (STEP_ROWS,)).fetchall()
    # Stop at the first entry that stays, so that no sweep reads the whole table.
    old = list(itertools.takewhile(lambda row: row[1] < before, rows))
    if old:
        tx.execute("DELETE FROM audit WHERE id <= ?", (old[-1][0],))
    return len(old)


def oldest(db: sqlite3.Connection) -> tuple[float | None, float | None, float | None]:
    """The time of the oldest removable message, event and audit entry; None for each that does not exist."""
    message = db.execute(
        "SELECT ended FROM message WHERE ended IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM sent_copy WHERE message = id) ORDER BY ended LIMIT 1"
    ).fetchone()
    event = db.execute(
        "SELECT created FROM event WHERE seq < (SELECT max(seq) FROM event) ORDER BY seq LIMIT 1"
    ).fetchone()
    entry = db.execute("SELECT time FROM audit ORDER BY id LIMIT 1").fetchone()
    return message[0] if message else None, event[0] if event else None, entry[0] if entry else None


def used(db: sqlite3.Connection) -> int:
    """Bytes of the journal in use. Removed rows leave free pages in the file, which SQLite reuses."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
