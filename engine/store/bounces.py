"""Bounces and complaints about sent messages: for each recipient the latest of the gravest kind."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from engine.store.writer import Tx

_COLUMNS = "address, action, status, response, at, notice"


class Bounce(msgspec.Struct, frozen=True):
    """`action`: `failed`, or `complaint`; `status` an enhanced code; `at` in seconds since 1970.

    `notice` is the id of the message that reported it; None if that was not stored.
    """

    address: str
    action: str
    status: str | None
    response: str | None
    at: float
    notice: str | None = None


def find_message(tx: Tx, account: str, message_ids: Sequence[str], envelope_id: str) -> tuple[int, str] | None:
    """(row id, queue id) of the account's message with one of these Message-IDs, the first that matches.

    If none does: that of the message whose queue id is this envelope id (ENVID).
    """
    for message_id in filter(None, message_ids):
        row = tx.execute(
            "SELECT id, queue_id FROM message WHERE message_id = ? AND account = ? ORDER BY id DESC LIMIT 1",
            (message_id, account),
        ).fetchone()
        if row is not None:
            return int(row[0]), str(row[1])
    row = tx.execute(
        "SELECT id, queue_id FROM message WHERE queue_id = ? AND account = ?", (envelope_id, account)
    ).fetchone()
    return (int(row[0]), str(row[1])) if envelope_id and row else None


def has_recipient(tx: Tx, message: int, address: str) -> bool:
    """Whether this address is a recipient of the message."""
    row = tx.execute(
        "SELECT 1 FROM recipient WHERE message = ? AND lower(address) = ?", (message, address.lower())
    ).fetchone()
    return row is not None


def first_recipient(tx: Tx, message: int) -> str:
    """The first recipient of a message."""
    (found,) = tx.execute(
        "SELECT address FROM recipient WHERE message = ? ORDER BY position LIMIT 1", (message,)
    ).fetchone()
    return str(found)


def is_known(tx: Tx, message: int, address: str, action: str) -> bool:
    """Whether a bounce or complaint (`action`) of this recipient was stored before."""
    row = tx.execute(
        "SELECT 1 FROM bounce WHERE message = ? AND address = ? AND action = ?", (message, address.lower(), action)
    ).fetchone()
    return row is not None


def note(tx: Tx, message: int, bounce: Bounce) -> None:
    """Store a bounce, replacing an earlier one for the same recipient.

    That the message came back for good is replaced only by the same, and a complaint not by a delay: reports arrive in
    any order, and a later one takes nothing back.
    """
    tx.execute(
        "INSERT INTO bounce (message, address, action, status, response, at, notice) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (message, address) DO UPDATE SET action = excluded.action, status = excluded.status, "
        "response = excluded.response, at = excluded.at, notice = excluded.notice "
        "WHERE excluded.action = 'failed' "
        "OR (bounce.action != 'failed' AND (bounce.action != 'complaint' OR excluded.action = 'complaint'))",
        (message, bounce.address.lower(), bounce.action, bounce.status, bounce.response, bounce.at, bounce.notice),
    )


def of_message(db: sqlite3.Connection | Tx, message: int) -> dict[str, Bounce]:
    """The bounces of a message, by lower-case address; the state of these recipients is `bounced`."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM bounce WHERE message = ?", (message,))
    return {row[0]: Bounce(*row) for row in rows}


def of_message_id(db: sqlite3.Connection | Tx, account: str, message_id: str) -> list[Bounce]:
    """The bounces, with a known notice, of the account's messages with this Message-ID, oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM bounce WHERE notice IS NOT NULL AND message IN "
        "(SELECT id FROM message WHERE message_id = ? AND account = ?) ORDER BY at, address",
        (message_id, account),
    )
    return [Bounce(*row) for row in rows]
