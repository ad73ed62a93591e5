"""Messages in the queue, their recipients and their attempts, as rows.

Every function that changes a state is a compare-and-set inside the caller's transaction and says whether it happened;
the words of the `state` columns and which may follow which stand in `queue/lifecycle.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.store.writer import Tx

_COLUMNS = (
    "id, queue_id, account, message_id, subject, sender, smtputf8, size, copy_path, created, send_at, next_at, state, "
    "attempts_made, attempts_max, dot_at, last_error, ended"
)


class Message(msgspec.Struct, kw_only=True):
    """One queued or ended message. Times in seconds since 1970; `size` in octets on the wire.

    `copy_path`: Sent folder asked for, empty for the account's own, None for no copy. `next_at`: when it is due, None
    once ended. `dot_at`: set while the final dot of a try may have been sent and no reply is recorded.
    """

    id: int
    queue_id: str
    account: str
    message_id: str
    subject: str | None
    sender: str
    smtputf8: bool
    size: int
    copy_path: str | None
    created: float
    send_at: float
    next_at: float | None
    state: str
    attempts_made: int
    attempts_max: int
    dot_at: float | None
    last_error: dict[str, Any] | None
    ended: float | None


class Recipient(msgspec.Struct):
    """One envelope recipient of a message and where its delivery stands; `code` and `response` from the last reply."""

    position: int
    address: str
    state: str
    code: int | None = None
    response: str | None = None


def insert(tx: Tx, message: Message, recipients: Iterable[str], state: str) -> int:
    """Add a message (its `id` is ignored) and its recipients in `state`; return the id it got."""
    row = tx.execute(
        "INSERT INTO message (queue_id, account, message_id, subject, sender, smtputf8, size, copy_path, created, "
        "send_at, next_at, state, attempts_max) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.queue_id,
            message.account,
            message.message_id,
            message.subject,
            message.sender,
            message.smtputf8,
            message.size,
            message.copy_path,
            message.created,
            message.send_at,
            message.next_at,
            message.state,
            message.attempts_max,
        ),
    )
    assert row.lastrowid is not None
    tx.executemany(
        "INSERT INTO recipient (message, position, address, state) VALUES (?, ?, ?, ?)",
        [(row.lastrowid, position, address, state) for position, address in enumerate(recipients)],
    )
    return row.lastrowid


def get(db: sqlite3.Connection | Tx, message: int) -> Message | None:
    """The message with this row id."""
    return _message(db.execute(f"SELECT {_COLUMNS} FROM message WHERE id = ?", (message,)).fetchone())


def by_queue_id(db: sqlite3.Connection | Tx, queue_id: str) -> Message | None:
    """The message with this queue id."""
    return _message(db.execute(f"SELECT {_COLUMNS} FROM message WHERE queue_id = ?", (queue_id,)).fetchone())


def recipients(db: sqlite3.Connection | Tx, message: int) -> list[Recipient]:
    """All recipients of a message in the order of its envelope."""
    rows = db.execute(
        "SELECT position, address, state, code, response FROM recipient WHERE message = ? ORDER BY position", (message,)
    )
    return [Recipient(*row) for row in rows]


def open_messages(db: sqlite3.Connection) -> list[tuple[int, str, float]]:
    """(id, account, next_at) of every message that has not ended, oldest due first."""
    return db.execute(
        "SELECT id, account, next_at FROM message WHERE ended IS NULL AND next_at IS NOT NULL ORDER BY next_at, id"
    ).fetchall()


def interrupted(db: sqlite3.Connection | Tx) -> list[tuple[int, bool]]:
    """(id, whether the final dot may have been sent) of every message whose try was cut short by the end of a run."""
    rows = db.execute("SELECT id, dot_at IS NOT NULL FROM message WHERE ended IS NULL AND state = 'sending'")
    return [(each, bool(dot)) for each, dot in rows]


def begin_try(tx: Tx, message: int, now: float) -> bool:
    """Mark a message that is due as being sent and record the try; False when it is not waiting, or not for now."""
    changed = tx.execute(
        "UPDATE message SET state = 'sending', attempts_made = attempts_made + 1 "
        "WHERE id = ? AND next_at <= ? AND state IN ('queued', 'deferred', 'in_doubt')",
        (message, now),
    )
    if changed.rowcount == 0:
        return False
    tx.execute(
        "INSERT INTO attempt (message, number, started) SELECT id, attempts_made, ? FROM message WHERE id = ?",
        (now, message),
    )
    return True


def mark_dot(tx: Tx, message: int, now: float) -> bool:
    """Record that the final dot may be on its way from now on; False when the message is not being sent any more."""
    changed = tx.execute("UPDATE message SET dot_at = ? WHERE id = ? AND state = 'sending'", (now, message))
    return changed.rowcount > 0


def undo_try(tx: Tx, message: int, state: str, next_at: float) -> bool:
    """Take back a try that was interrupted before its final dot: it does not count as an attempt."""
    tx.execute(
        "DELETE FROM attempt WHERE message = ? AND ended IS NULL AND number = "
        "(SELECT attempts_made FROM message WHERE id = ? AND state = 'sending')",
        (message, message),
    )
    changed = tx.execute(
        "UPDATE message SET state = ?, attempts_made = attempts_made - 1, dot_at = NULL, next_at = ? "
        "WHERE id = ? AND state = 'sending'",
        (state, next_at, message),
    )
    return changed.rowcount > 0


def end_try(
    tx: Tx, message: int, *, state: str, next_at: float | None, error: dict[str, Any] | None, now: float, report: bytes
) -> None:
    """Record how the try in hand ended. `next_at` None ends the message."""
    tx.execute(
        "UPDATE attempt SET ended = ?, report = ? WHERE message = ? AND number = "
        "(SELECT attempts_made FROM message WHERE id = ?)",
        (now, report, message, message),
    )
    tx.execute(
        "UPDATE message SET state = ?, next_at = ?, dot_at = NULL, last_error = ?, ended = ? WHERE id = ?",
        (
            state,
            next_at,
            msgspec.json.encode(error) if error is not None else None,
            now if next_at is None else None,
            message,
        ),
    )


def set_recipient(tx: Tx, message: int, recipient: Recipient) -> None:
    """Record where one recipient stands now."""
    tx.execute(
        "UPDATE recipient SET state = ?, code = ?, response = ? WHERE message = ? AND position = ?",
        (recipient.state, recipient.code, recipient.response, message, recipient.position),
    )


def cancel(tx: Tx, message: int, state: str, now: float) -> bool:
    """End a message and its open recipients without a further try; False when it is too late.

    It is too late when the message has ended already or its final dot may be on its way.
    """
    changed = tx.execute(
        "UPDATE message SET state = ?, next_at = NULL, ended = ? WHERE id = ? AND ended IS NULL AND dot_at IS NULL",
        (state, now, message),
    )
    if changed.rowcount == 0:
        return False
    tx.execute(
        "UPDATE recipient SET state = ? WHERE message = ? AND state NOT IN ('sent', 'failed', 'cancelled')",
        (state, message),
    )
    return True


def hasten(tx: Tx, account: str, now: float) -> list[int]:
    """Make an account's messages due that its server could not be reached for, or refused the login; their ids."""
    rows = tx.execute(
        "UPDATE message SET next_at = ? WHERE account = ? AND ended IS NULL AND state = 'deferred' AND next_at > ? "
        "AND json_extract(CAST(last_error AS TEXT), '$.code') NOT IN ('EENVELOPE', 'EMESSAGE') RETURNING id",
        (now, account, now),
    )
    return [each for (each,) in rows]


def open_of_account(db: sqlite3.Connection | Tx, account: str) -> list[int]:
    """The ids of an account's messages that have not ended."""
    rows = db.execute("SELECT id FROM message WHERE account = ? AND ended IS NULL", (account,))
    return [each for (each,) in rows]


def _message(row: tuple[Any, ...] | None) -> Message | None:
    if row is None:
        return None
    values = dict(zip(Message.__struct_fields__, row, strict=True))
    values["smtputf8"] = bool(values["smtputf8"])
    values["last_error"] = msgspec.json.decode(row[16]) if row[16] is not None else None
    return Message(**values)
