"""Changes to make once a message is sent: its draft is removed, the message that it answers is marked."""

from __future__ import annotations

import sqlite3
from typing import Literal

import msgspec

from engine.store.writer import Tx

What = Literal["draft", "answered", "forwarded"]


class FollowUp(msgspec.Struct, frozen=True):
    """One due change: the message that it follows, what to change and where, the failed attempts so far.

    `copied`: a copy of the message was filed. `by_gateway`: it did not go through the account's provider.
    """

    message: int
    what: What
    mailbox: int
    uid: int
    copied: bool
    attempts: int
    next_at: float
    by_gateway: bool


def insert(tx: Tx, message: int, account: str, what: What, mailbox: int, uid: int) -> bool:
    """Request a change for when the message is sent.

    Returns False if the folder is gone, or for a draft that belongs to another message that has not ended.
    """
    done = tx.execute(
        "INSERT OR IGNORE INTO follow_up (message, account, what, mailbox, uid)"
        " SELECT ?, ?, ?, id, ? FROM mailbox WHERE id = ?",
        (message, account, what, uid, mailbox),
    )
    return done.rowcount > 0


def sent(tx: Tx, message: int, at: float) -> None:
    """Note that the message is sent: its changes are due from that moment on (seconds since 1970)."""
    tx.execute("UPDATE follow_up SET next_at = ? WHERE message = ?", (at, message))


def copied(tx: Tx, message: int) -> None:
    """Note that a copy of the message was filed."""
    tx.execute("UPDATE follow_up SET copied = 1 WHERE message = ?", (message,))


def first(db: sqlite3.Connection, account: str) -> FollowUp | None:
    """An account's earliest due change; a draft waits until the copy of its message is filed."""
    row = db.execute(
        "SELECT f.message, what, mailbox, uid, copied, attempts, f.next_at, gateway IS NOT NULL"
        " FROM follow_up f JOIN message ON message.id = f.message WHERE f.account = ? AND f.next_at IS NOT NULL"
        " AND (what != 'draft' OR f.message NOT IN (SELECT message FROM sent_copy))"
        " ORDER BY f.next_at, f.message, what LIMIT 1",
        (account,),
    ).fetchone()
    return FollowUp(row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6], bool(row[7])) if row else None


def postpone(tx: Tx, message: int, what: What, next_at: float) -> None:
    """Count a failed attempt and set the next one."""
    tx.execute(
        "UPDATE follow_up SET attempts = attempts + 1, next_at = ? WHERE message = ? AND what = ?",
        (next_at, message, what),
    )


def none_after(tx: Tx, moment: float) -> None:
    """Make changes that are due after `moment` due at `moment`."""
    tx.execute("UPDATE follow_up SET next_at = ?1 WHERE next_at > ?1", (moment,))


def remove(tx: Tx, message: int, what: What) -> None:
    """Remove a change that is done or given up."""
    tx.execute("DELETE FROM follow_up WHERE message = ? AND what = ?", (message, what))


def remove_all(tx: Tx, message: int) -> None:
    """Remove all changes for a message that is not sent."""
    tx.execute("DELETE FROM follow_up WHERE message = ?", (message,))
