"""Held messages: found unsent in a restored backup and not sent until an operator releases them.

`release` takes a bare connection, because `engine outbox release` works on the folder with or without a running engine.
A held message has no `next_at`. Once released, it is due at once, or at its `sendAt` if that is in the future.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container

from engine.store import folder_metadata, timeline
from engine.store.timeline import About
from engine.store.writer import Tx

STEP = 500
"""Messages released in one transaction, for whose duration a running engine cannot commit."""


def hold(tx: Tx, now: float) -> int:
    """Hold every message that waits for an attempt, and its open recipients; return how many.

    `now` is in seconds since 1970.
    """
    rows = tx.execute(
        "UPDATE message SET state = 'held', next_at = NULL "
        "WHERE ended IS NULL AND state IN ('queued', 'deferred') RETURNING id"
    ).fetchall()
    tx.executemany("UPDATE recipient SET state = 'held' WHERE message = ? AND state IN ('queued', 'deferred')", rows)
    timeline.note_all(tx, [each for (each,) in rows], "held", now, {"reason": "restored"})
    return len(rows)


def hold_doubts(tx: Tx, now: float) -> int:
    """Keep every message that is or may be in doubt undecided until the caller decides; return how many."""
    tx.execute(
        "UPDATE message SET on_doubt = 'hold', doubt_since = coalesce(doubt_since, dot_at, ?) "
        "WHERE ended IS NULL AND (state = 'in_doubt' OR (state = 'sending' AND dot_at IS NOT NULL))",
        (now,),
    )
    rows = tx.execute(
        "UPDATE message SET next_at = NULL WHERE ended IS NULL AND state = 'in_doubt' RETURNING id"
    ).fetchall()
    return len(rows)


def ids(db: sqlite3.Connection) -> set[int]:
    """The ids of all held messages."""
    return {each for (each,) in db.execute("SELECT id FROM message WHERE state = 'held'")}


def due(db: sqlite3.Connection, messages: set[int]) -> list[tuple[int, str, str | None, float]]:
    """(id, account, gateway, next_at) of those among `messages` that are no longer held and wait for an attempt."""
    found = []
    for message in messages:
        row = db.execute(
            "SELECT id, account, gateway, next_at FROM message "
            "WHERE id = ? AND next_at IS NOT NULL AND state = 'queued'",
            (message,),
        ).fetchone()
        if row is not None:
            found.append(row)
    return found


def release(
    db: sqlite3.Connection, now: float, account: str | None = None, queue_ids: Container[str] | None = None
) -> int:
    """Release all held messages, those of one account, or those with these queue ids; return how many."""
    wanted = [
        each
        for each, of, queue_id in db.execute(
            "SELECT id, account, queue_id FROM message WHERE ended IS NULL AND state = 'held'"
        )
        if (account is None or of == account) and (queue_ids is None or queue_id in queue_ids)
    ]
    released = 0
    for start in range(0, len(wanted), STEP):
        db.execute("BEGIN IMMEDIATE")
        try:
            for message in wanted[start : start + STEP]:
                changed = db.execute(
                    "UPDATE message SET state = 'queued', next_at = max(send_at, ?1), "
                    "expires_at = max(send_at, ?1) + expires_at - send_at WHERE id = ?2 AND state = 'held'",
                    (now, message),
                )
                db.execute(
                    "UPDATE recipient SET state = 'queued' WHERE message = ? AND state = 'held'",
                    (message,),
                )
                if changed.rowcount:
                    timeline.note(db, About(message, None, None), "released", now)
                released += changed.rowcount
            folder_metadata.put(
                db, folder_metadata.RELEASED, (folder_metadata.get(db, folder_metadata.RELEASED) or 0) + 1
            )
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.rollback()
    return released
