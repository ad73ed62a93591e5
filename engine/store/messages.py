"""Messages in the queue and their recipients, as rows.

Every function that changes a state is a compare-and-set inside the caller's transaction and returns whether it took
effect. `model/message_states.py` lists the values of the `state` columns and the allowed transitions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from engine.model.message import Dsn, LaneId, Message, OnDoubt, Recipient
from engine.model.message_states import State
from engine.store.writer import Tx

_COLUMNS = (
    "id, queue_id, account, message_id, subject, sender, smtputf8, size, copy_path, created, send_at, next_at, state, "
    "attempts_made, attempts_max, dot_at, last_error, ended, on_doubt, doubt_since, interruptions, expires_at, "
    "proxy, local_address, gateway, eight_bit, dsn, if_suppressed"
)


def insert(tx: Tx, found: Sequence[tuple[Message, Sequence[str]]], state: State) -> list[int]:
    """Add messages (their `id` is ignored), each with its recipients in `state`; return the new ids."""
    (last,) = tx.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
    rows = [*range(last + 1, last + 1 + len(found))]
    tx.executemany(
        "INSERT INTO message (id, queue_id, account, message_id, subject, sender, smtputf8, size, copy_path, created, "
        "send_at, next_at, state, attempts_max, on_doubt, expires_at, proxy, local_address, gateway, eight_bit, dsn, "
        "if_suppressed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(row, *_values(message)) for row, (message, _) in zip(rows, found, strict=True)],
    )
    tx.executemany(
        "INSERT INTO recipient (message, position, address, state) VALUES (?, ?, ?, ?)",
        [
            (row, position, address, state)
            for row, (_, recipients) in zip(rows, found, strict=True)
            for position, address in enumerate(recipients)
        ],
    )
    return rows


def add_failed(tx: Tx, message: int, first: int, left_out: Sequence[tuple[str, str]]) -> None:
    """Add recipients, from this position on, to whom the message is not sent, each with the reason."""
    tx.executemany(
        "INSERT INTO recipient (message, position, address, state, response) VALUES (?, ?, ?, 'failed', ?)",
        [(message, first + number, address, reason) for number, (address, reason) in enumerate(left_out)],
    )


def get(db: sqlite3.Connection | Tx, message: int) -> Message | None:
    """The message with this row id."""
    return _message(db.execute(f"SELECT {_COLUMNS} FROM message WHERE id = ?", (message,)).fetchone())


def by_queue_id(db: sqlite3.Connection | Tx, queue_id: str) -> Message | None:
    """The message with this queue id."""
    return _message(db.execute(f"SELECT {_COLUMNS} FROM message WHERE queue_id = ?", (queue_id,)).fetchone())


def exists(db: sqlite3.Connection | Tx, queue_id: str) -> bool:
    """Whether there is a message with this queue id."""
    return db.execute("SELECT 1 FROM message WHERE queue_id = ?", (queue_id,)).fetchone() is not None


def newest_queue_id(db: sqlite3.Connection | Tx) -> str:
    """The queue id that sorts last: that of the message with the latest time of sending; empty if there is none."""
    (found,) = db.execute("SELECT max(queue_id) FROM message").fetchone()
    return found or ""


def recipients(db: sqlite3.Connection | Tx, message: int) -> list[Recipient]:
    """All recipients of a message, in envelope order."""
    rows = db.execute(
        "SELECT position, address, state, code, response FROM recipient WHERE message = ? ORDER BY position", (message,)
    )
    return [Recipient(place, address, State(state), code, said) for place, address, state, code, said in rows]


def open_recipients(db: sqlite3.Connection, message: int) -> int:
    """How many recipients of a message no server has accepted or refused."""
    (count,) = db.execute(
        "SELECT count(*) FROM recipient WHERE message = ? AND state IN ('queued', 'deferred', 'in_doubt')", (message,)
    ).fetchone()
    return int(count)


class Due(NamedTuple):
    """A message with a due time. `first`: no attempt has been made."""

    id: int
    account: str
    gateway: str | None
    next_at: float
    first: bool


def waiting(db: sqlite3.Connection, lane: LaneId | None = None) -> Iterator[Due]:
    """Every message with a due time, of one lane or of all, earliest first."""
    condition, parameters = _of(lane)
    rows = db.execute(
        "SELECT id, account, gateway, next_at, attempts_made = 0 FROM message "
        f"WHERE ended IS NULL AND next_at IS NOT NULL{condition} ORDER BY next_at, id",
        parameters,
    )
    return (Due(each, account, gateway, due, bool(first)) for each, account, gateway, due, first in rows)


def first_with_own_way(db: sqlite3.Connection, lane: LaneId, now: float) -> tuple[int, float] | None:
    """(id, next_at) of the lane's longest overdue message with its own proxy or local address."""
    condition, parameters = _of(lane)
    return db.execute(  # type: ignore[no-any-return]
        "SELECT id, next_at FROM message WHERE ended IS NULL AND next_at <= ? "
        f"AND (proxy IS NOT NULL OR local_address IS NOT NULL) AND state IN ('queued', 'deferred'){condition} "
        "ORDER BY next_at, id LIMIT 1",
        (now, *parameters),
    ).fetchone()


def due_after(tx: Tx, moment: float) -> list[tuple[int, int]]:
    """(id, attempts made) of every message due after `moment`, except those whose caller chose the time."""
    return tx.execute(
        "SELECT id, attempts_made FROM message WHERE ended IS NULL AND next_at > ? "
        "AND NOT (next_at = send_at AND send_at > created) AND state IN ('queued', 'deferred', 'in_doubt')",
        (moment,),
    ).fetchall()


def bring_forward(tx: Tx, message: int, latest: float, due: float) -> None:
    """If a message is due after `latest`, make it due at `due`."""
    tx.execute("UPDATE message SET next_at = ? WHERE id = ? AND next_at > ?", (due, message, latest))


def no_doubt_after(tx: Tx, moment: float) -> None:
    """Move the start of doubts later than `moment` back to `moment`."""
    tx.execute("UPDATE message SET doubt_since = ?1 WHERE doubt_since > ?1 AND ended IS NULL", (moment,))


def interrupted(db: sqlite3.Connection | Tx, lane: LaneId | None = None) -> list[Message]:
    """The messages, of one lane or of all, whose attempt was interrupted by a crash of the process or lane."""
    condition, parameters = _of(lane)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM message WHERE ended IS NULL AND state = 'sending'{condition}", parameters
    ).fetchall()
    return [message for row in rows if (message := _message(row)) is not None]


def overdue(tx: Tx, lane: LaneId, now: float, since: float, expired: float, limit: int) -> list[Message]:
    """At most `limit` due messages of a lane whose `expires_at` is after `since` and not after `expired`."""
    condition, parameters = _of(lane)
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM message WHERE ended IS NULL AND next_at <= ? "
        f"AND expires_at > ? AND expires_at <= ? AND state IN ('queued', 'deferred'){condition} "
        "ORDER BY next_at LIMIT ?",
        (now, since, expired, *parameters, limit),
    ).fetchall()
    return [message for row in rows if (message := _message(row)) is not None]


def begin_attempt(tx: Tx, message: int, due: float) -> bool:
    """Mark a message as being sent if it is due at exactly `due`; False if it is not."""
    changed = tx.execute(
        "UPDATE message SET state = 'sending', attempts_made = attempts_made + 1 "
        "WHERE id = ? AND next_at = ? AND state IN ('queued', 'deferred', 'in_doubt')",
        (message, due),
    )
    return changed.rowcount > 0


def mark_dot(tx: Tx, message: int, now: float) -> bool:
    """Record that the final dot may be on its way from now on; False if the message is no longer being sent."""
    changed = tx.execute("UPDATE message SET dot_at = ? WHERE id = ? AND state = 'sending'", (now, message))
    return changed.rowcount > 0


def clear_dot(tx: Tx, message: int) -> None:
    """Clear the mark: this transaction records the reply to that dot, or the dot was never sent."""
    tx.execute("UPDATE message SET dot_at = NULL WHERE id = ?", (message,))


def undo_attempt(tx: Tx, message: int, state: State, next_at: float | None, interruptions: int) -> bool:
    """Take back an attempt that was interrupted before its final dot, so that it does not count."""
    changed = tx.execute(
        "UPDATE message SET state = ?, attempts_made = attempts_made - 1, dot_at = NULL, next_at = ?, "
        "interruptions = ? WHERE id = ? AND state = 'sending'",
        (state, next_at, interruptions, message),
    )
    return changed.rowcount > 0


def end_attempt(
    tx: Tx,
    message: int,
    *,
    state: State,
    next_at: float | None,
    error: dict[str, Any] | None,
    doubt_since: float | None,
    interruptions: int,
    ended: float | None,
) -> bool:
    """Record how the current attempt ended; False, with nothing changed, if the message is no longer being sent."""
    changed = tx.execute(
        "UPDATE message SET state = ?, next_at = ?, dot_at = NULL, last_error = ?, doubt_since = ?, interruptions = ?, "
        "ended = ? WHERE id = ? AND state = 'sending'",
        (
            state,
            next_at,
            msgspec.json.encode(error) if error is not None else None,
            doubt_since,
            interruptions,
            ended,
            message,
        ),
    )
    return changed.rowcount > 0


def settle(
    tx: Tx,
    message: int,
    *,
    state: State,
    next_at: float | None,
    doubt_since: float | None,
    ended: float | None,
    error: dict[str, Any] | None = None,
) -> None:
    """Change a message's state between attempts: a doubt was settled, or the message is held, released or ended.

    Without an `error`, the message keeps that of its last attempt.
    """
    encoded = None if error is None else msgspec.json.encode(error)
    tx.execute(
        "UPDATE message SET state = ?, next_at = ?, dot_at = NULL, doubt_since = ?, ended = ?, "
        "last_error = coalesce(?, last_error) WHERE id = ?",
        (state, next_at, doubt_since, ended, encoded, message),
    )


def set_recipient(tx: Tx, message: int, recipient: Recipient) -> None:
    """Store the new state of one recipient."""
    tx.execute(
        "UPDATE recipient SET state = ?, code = ?, response = ? WHERE message = ? AND position = ?",
        (recipient.state, recipient.code, recipient.response, message, recipient.position),
    )


def cancel(tx: Tx, message: int, now: float) -> bool:
    """Cancel a message and its open recipients; False if it is too late.

    It is too late if the message has ended or its final dot may be on its way.
    """
    changed = tx.execute(
        "UPDATE message SET next_at = NULL, doubt_since = NULL, ended = ?, state = coalesce((SELECT max(state) FROM "
        "recipient WHERE message = id AND state = 'sent'), (SELECT max(state) FROM recipient WHERE message = id AND "
        "state = 'failed'), 'cancelled') WHERE id = ? AND ended IS NULL AND dot_at IS NULL",
        (now, message),
    )
    if changed.rowcount == 0:
        return False
    tx.execute(
        "UPDATE recipient SET state = 'cancelled' WHERE message = ? AND state NOT IN ('sent', 'failed', 'cancelled')",
        (message,),
    )
    return True


def reschedule(tx: Tx, message: int, send_at: float | None, expires_at: float) -> None:
    """Set when a message expires and, if `send_at` is given, when it is to be sent."""
    tx.execute(
        "UPDATE message SET send_at = coalesce(?, send_at), expires_at = ? WHERE id = ?", (send_at, expires_at, message)
    )


def on_doubt(tx: Tx, message: int) -> OnDoubt:
    """The `onDoubt` of this message."""
    (choice,) = tx.execute("SELECT on_doubt FROM message WHERE id = ?", (message,)).fetchone()
    return OnDoubt(choice)


def choose_on_doubt(tx: Tx, message: int, choice: OnDoubt) -> None:
    """Set the `onDoubt` of this message."""
    tx.execute("UPDATE message SET on_doubt = ? WHERE id = ?", (choice, message))


def allow_attempts(tx: Tx, message: int, most: int) -> None:
    """Set how many attempts a message may have."""
    tx.execute("UPDATE message SET attempts_max = ? WHERE id = ?", (most, message))


def hasten(tx: Tx, lane: LaneId, now: float) -> list[tuple[int, str]]:
    """Make the lane's messages due that wait after an unreachable server or a refused login.

    Returns the id and the account of each.
    """
    condition, parameters = _of(lane)
    return tx.execute(
        "UPDATE message SET next_at = ? WHERE ended IS NULL AND state = 'deferred' AND next_at > ? "
        f"AND json_extract(CAST(last_error AS TEXT), '$.code') NOT IN ('EENVELOPE', 'EMESSAGE'){condition} "
        "RETURNING id, account",
        (now, now, *parameters),
    ).fetchall()


def open_of_account(db: sqlite3.Connection | Tx, account: str) -> list[int]:
    """The ids of an account's messages that have not ended."""
    rows = db.execute("SELECT id FROM message WHERE account = ? AND ended IS NULL", (account,))
    return [each for (each,) in rows]


def in_doubt(db: sqlite3.Connection, account: str) -> list[Message]:
    """The messages by an account's own server with a recipient in doubt, the oldest doubt first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM message WHERE account = ? AND ended IS NULL AND state = 'in_doubt' "
        "AND gateway IS NULL ORDER BY doubt_since",
        (account,),
    ).fetchall()
    return [message for row in rows if (message := _message(row)) is not None]


def _of(lane: LaneId | None) -> tuple[str, tuple[str, ...]]:
    """The condition for the messages of one lane, and its parameters; empty for those of all lanes."""
    if lane is None:
        return "", ()
    return (
        (" AND gateway = ?", (lane.gateway,))
        if lane.gateway
        else (" AND account = ? AND gateway IS NULL", (lane.account,))
    )


def _values(message: Message) -> tuple[Any, ...]:
    return (
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
        message.on_doubt,
        message.expires_at,
        message.proxy,
        message.local_address,
        message.gateway,
        message.eight_bit,
        msgspec.json.encode(message.dsn) if message.dsn is not None else None,
        message.if_suppressed,
    )


def _message(row: tuple[Any, ...] | None) -> Message | None:
    if row is None:
        return None
    values = dict(zip(Message.__struct_fields__, row, strict=True))
    values["smtputf8"] = bool(values["smtputf8"])
    values["eight_bit"] = bool(values["eight_bit"])
    values["dsn"] = msgspec.json.decode(values["dsn"], type=Dsn) if values["dsn"] is not None else None
    values["state"] = State(values["state"])
    values["on_doubt"] = OnDoubt(values["on_doubt"])
    values["last_error"] = msgspec.json.decode(row[16]) if row[16] is not None else None
    return Message(**values)
