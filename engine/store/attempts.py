"""Attempts to send a message, as rows: when each began and ended, and a report.

The report is JSON: `server`, `tls`, `timings` (seconds by stage), `outcome`, `error`, `replies` by recipient,
`transcript` with secrets already masked. A row without an end belongs to the current attempt, or to one that the end of
the process interrupted.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any

import msgspec

from engine.store.writer import Tx


class Attempt(msgspec.Struct, frozen=True):
    """One attempt. Times in seconds since 1970; while it lasts, `ended` is None and `report` empty."""

    number: int
    started: float
    ended: float | None
    report: dict[str, Any]


def begin(tx: Tx, message: int, now: float) -> None:
    """Record the start of the attempt, which the message's `attempts_made` already includes."""
    tx.execute(
        "INSERT INTO attempt (message, number, started) SELECT id, attempts_made, ? FROM message WHERE id = ?",
        (now, message),
    )


def end(tx: Tx, message: int, number: int, now: float, report: bytes) -> None:
    """Record how an attempt ended."""
    tx.execute(
        "UPDATE attempt SET ended = ?, report = ? WHERE message = ? AND number = ?", (now, report, message, number)
    )


def undo(tx: Tx, message: int, number: int) -> None:
    """Remove an attempt that does not count."""
    tx.execute("DELETE FROM attempt WHERE message = ? AND number = ? AND ended IS NULL", (message, number))


def of_message(db: sqlite3.Connection, message: int) -> list[Attempt]:
    """The attempts of a message, oldest first."""
    rows = db.execute(
        "SELECT number, started, ended, report FROM attempt WHERE message = ? ORDER BY number", (message,)
    )
    return [
        Attempt(number, started, ended, msgspec.json.decode(report) if report else {})
        for number, started, ended, report in rows
    ]


def last_end(db: sqlite3.Connection, account: str, message_id: str) -> float | None:
    """When the last attempt to send the newest message with this Message-ID ended; infinity while it lasts.

    None: no such message or attempt is left.
    """
    row = db.execute(
        "SELECT attempt.ended FROM message JOIN attempt ON attempt.message = message.id "
        "WHERE message.message_id = ? AND message.account = ? ORDER BY message.id DESC, attempt.number DESC LIMIT 1",
        (message_id, account),
    ).fetchone()
    return None if row is None else math.inf if row[0] is None else float(row[0])


def started_since(db: sqlite3.Connection, account: str, since: float) -> list[float]:
    """The start times of the account's attempts after `since`, in order."""
    rows = db.execute(
        "SELECT a.started FROM message m JOIN attempt a ON a.message = m.id "
        "WHERE m.account = ?1 AND a.started > ?2 AND (m.ended > ?2 OR (m.ended IS NULL AND m.attempts_made > 0)) "
        "AND a.started > coalesce((SELECT at FROM sandbox_time WHERE account = ?1), 0) "
        "ORDER BY a.started",
        (account, since),
    )
    return [each for (each,) in rows]
