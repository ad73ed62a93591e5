"""What counts against the limits of accounts, and which accounts a provider has closed, as rows.

Each time is kept twice: by the wall clock, and as the seconds since the machine started, with the id of that start. So
an age is right whatever becomes of the wall clock, as long as the machine runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from engine.store.writer import Tx


class Stamp(NamedTuple):
    """A moment: seconds since 1970, which start of the machine it followed, and by how many seconds."""

    at: float
    boot: str
    uptime: float

    def age(self, now: Stamp) -> float:
        """Seconds from this moment to `now`, never negative; by the wall clock only if the machine was restarted."""
        if self.boot == now.boot and self.boot:
            return max(0.0, now.uptime - self.uptime)
        return max(0.0, now.at - self.at)


class UseRow(NamedTuple):
    """One transaction. `is_open`: no reply to it is recorded."""

    id: int
    stamp: Stamp
    recipients: int
    is_open: bool


class Closure(NamedTuple):
    """An account that its provider takes no mail from for `seconds` after `stamp`; `text` is what it said."""

    stamp: Stamp
    seconds: float
    text: str


def begin(tx: Tx, account: str, message: int, attempt: int, stamp: Stamp, recipients: int) -> int:
    """Count a transaction whose end of data is about to be sent; return its row.

    The attempt remembers it when the row is long gone: a clock that was set back must not make it count once more.
    """
    tx.execute("UPDATE attempt SET counted = 1 WHERE message = ? AND number = ?", (message, attempt))
    (row,) = tx.execute(
        "INSERT INTO quota_use (account, message, attempt, at, boot, uptime, recipients, open) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 1) RETURNING id",
        (account, message, attempt, *stamp, recipients),
    ).fetchone()
    return int(row)


def settle(tx: Tx, row: int, stamp: Stamp, recipients: int) -> None:
    """Record how many recipients the server accepted, and when it said so."""
    tx.execute(
        "UPDATE quota_use SET at = ?, boot = ?, uptime = ?, recipients = ?, open = 0 WHERE id = ?",
        (*stamp, recipients, row),
    )


def remove(tx: Tx, rows: Iterable[int]) -> None:
    """Count these transactions no longer."""
    tx.executemany("DELETE FROM quota_use WHERE id = ?", [(row,) for row in rows])


def of_account(db: sqlite3.Connection | Tx, account: str) -> list[UseRow]:
    """An account's transactions, in no order."""
    rows = db.execute(
        "SELECT id, at, boot, uptime, recipients, open FROM quota_use WHERE account = ?", (account,)
    ).fetchall()
    return [
        UseRow(row, Stamp(at, boot, uptime), count, bool(is_open)) for row, at, boot, uptime, count, is_open in rows
    ]


def settle_open(tx: Tx, account: str, stamp: Stamp) -> None:
    """Count the account's transactions without a recorded reply as sent at `stamp`."""
    tx.execute(
        "UPDATE quota_use SET at = ?, boot = ?, uptime = ?, open = 0 WHERE account = ? AND open = 1", (*stamp, account)
    )


def uncounted(db: sqlite3.Connection, account: str, since: float) -> list[tuple[float, int]]:
    """What an account sent after `since` (seconds since 1970) without counting it: it had no limits then.

    For each attempt that ended in success: when, and how many recipients of its message were accepted.
    """
    return db.execute(
        "SELECT a.ended, (SELECT count(*) FROM recipient r WHERE r.message = m.id AND r.state = 'sent') "
        "FROM message m JOIN attempt a ON a.message = m.id "
        "WHERE m.account = ?1 AND m.gateway IS NULL AND a.ended > ?2 "
        "AND a.ended > coalesce((SELECT at FROM sandbox_time WHERE account = ?1), 0) "
        "AND (m.ended > ?2 OR (m.ended IS NULL AND m.attempts_made > 0)) "
        "AND json_extract(CAST(a.report AS TEXT), '$.outcome') IN ('accepted', 'doubt') "
        "AND NOT a.counted ORDER BY a.ended",
        (account, since),
    ).fetchall()


def close(tx: Tx, account: str, closure: Closure) -> None:
    """Note that the provider takes no mail of the account for a while."""
    tx.execute(
        "INSERT OR REPLACE INTO quota_closed (account, at, boot, uptime, seconds, text) "
        "SELECT id, ?, ?, ?, ?, ? FROM account WHERE id = ?",
        (*closure.stamp, closure.seconds, closure.text, account),
    )


def reopen(tx: Tx, account: str) -> None:
    """Forget what the provider said."""
    tx.execute("DELETE FROM quota_closed WHERE account = ?", (account,))


def closed(db: sqlite3.Connection, account: str) -> Closure | None:
    """What the provider said last, even if its time is over; None: nothing."""
    row = db.execute(
        "SELECT at, boot, uptime, seconds, text FROM quota_closed WHERE account = ?", (account,)
    ).fetchone()
    return None if row is None else Closure(Stamp(*row[:3]), row[3], row[4])
