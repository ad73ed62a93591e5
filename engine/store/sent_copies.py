"""Sent messages whose copy still has to be filed in the account's Sent folder."""

from __future__ import annotations

import sqlite3

import msgspec

from engine.store.writer import Tx


class SentCopy(msgspec.Struct, frozen=True):
    """One copy to file: the message, the folder ('' for the account's Sent folder) and the failed attempts.

    `by_gateway`: the message did not go through the account's provider.
    """

    message: int
    path: str
    attempts: int
    next_at: float
    by_gateway: bool


def insert(tx: Tx, message: int, account: str, path: str, next_at: float) -> None:
    """Request a copy, due at `next_at` (seconds since 1970)."""
    tx.execute(
        "INSERT INTO sent_copy (message, account, path, next_at) VALUES (?, ?, ?, ?)", (message, account, path, next_at)
    )


def first(db: sqlite3.Connection, account: str) -> SentCopy | None:
    """The account's earliest due copy."""
    row = db.execute(
        "SELECT message, path, tries, sent_copy.next_at, gateway IS NOT NULL "
        "FROM sent_copy JOIN message ON message.id = sent_copy.message "
        "WHERE sent_copy.account = ? ORDER BY sent_copy.next_at, message LIMIT 1",
        (account,),
    ).fetchone()
    return SentCopy(row[0], row[1], row[2], row[3], bool(row[4])) if row else None


def postpone(tx: Tx, message: int, next_at: float) -> None:
    """Count a failed attempt and set the next one."""
    tx.execute("UPDATE sent_copy SET tries = tries + 1, next_at = ? WHERE message = ?", (next_at, message))


def none_after(tx: Tx, moment: float) -> None:
    """Make copies that are due after `moment` due at `moment`."""
    tx.execute("UPDATE sent_copy SET next_at = ?1 WHERE next_at > ?1", (moment,))


def remove(tx: Tx, message: int) -> None:
    """Remove a copy that has been filed or given up."""
    tx.execute("DELETE FROM sent_copy WHERE message = ?", (message,))


def of_account(db: sqlite3.Connection | Tx, account: str) -> list[int]:
    """The messages of an account whose copy is still to be filed."""
    return [each for (each,) in db.execute("SELECT message FROM sent_copy WHERE account = ?", (account,))]
