"""Drafts that were submitted: they go from their folder once the message is sent."""

from __future__ import annotations

import sqlite3

import msgspec

from engine.store.writer import Tx


class SentDraft(msgspec.Struct, frozen=True):
    """One draft that is to go: of which message, where it is, whether a copy was filed, after how many attempts.

    `by_gateway`: the message did not go through the account's provider.
    """

    message: int
    mailbox: int
    uid: int
    copied: bool
    attempts: int
    next_at: float
    by_gateway: bool


def insert(tx: Tx, message: int, account: str, mailbox: int, uid: int) -> bool:
    """A draft is submitted as this message; false if it is already, and that message has not ended."""
    done = tx.execute(
        "INSERT OR IGNORE INTO sent_draft (message, account, mailbox, uid) VALUES (?, ?, ?, ?)",
        (message, account, mailbox, uid),
    )
    return done.rowcount > 0


def sent(tx: Tx, message: int, at: float) -> None:
    """The message is sent: its draft is due to go from that moment on (seconds since 1970)."""
    tx.execute("UPDATE sent_draft SET next_at = ? WHERE message = ?", (at, message))


def copied(tx: Tx, message: int) -> None:
    """A copy of the message was filed."""
    tx.execute("UPDATE sent_draft SET copied = 1 WHERE message = ?", (message,))


def first(db: sqlite3.Connection, account: str) -> SentDraft | None:
    """The account's draft that is due first; none while the copy of its message is still to be filed."""
    row = db.execute(
        "SELECT message, mailbox, uid, copied, attempts, d.next_at, gateway IS NOT NULL"
        " FROM sent_draft d JOIN message ON message.id = d.message WHERE d.account = ?"
        " AND d.next_at IS NOT NULL AND message NOT IN (SELECT message FROM sent_copy)"
        " ORDER BY d.next_at, message LIMIT 1",
        (account,),
    ).fetchone()
    return SentDraft(row[0], row[1], row[2], bool(row[3]), row[4], row[5], bool(row[6])) if row else None


def postpone(tx: Tx, message: int, next_at: float) -> None:
    """Count a failed attempt and set the next one."""
    tx.execute("UPDATE sent_draft SET attempts = attempts + 1, next_at = ? WHERE message = ?", (next_at, message))


def none_after(tx: Tx, moment: float) -> None:
    """Have no draft be due later than `moment`."""
    tx.execute("UPDATE sent_draft SET next_at = ?1 WHERE next_at > ?1", (moment,))


def remove(tx: Tx, message: int) -> None:
    """The draft is gone, or stays for good."""
    tx.execute("DELETE FROM sent_draft WHERE message = ?", (message,))
