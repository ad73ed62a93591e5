"""What happened to a message apart from its attempts and replies, as rows; it goes with the message.

What an attempt brought about is in the report of the attempt (`store/attempts.py`), so that mail which is simply sent
adds no row here. Most rows name an event. Their times and kinds stay when retention has removed the event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from engine.store.writer import Tx

MOST = 10_000
"""Rows of one message; beyond that, opens and clicks are only in the journal: anyone can repeat them."""
_REPEATED = frozenset({"trackOpen", "trackClick"})


class About(NamedTuple):
    """The message that an event is about, the recipient if it is about one, and what to keep when it is removed."""

    message: int
    address: str | None = None
    detail: Mapping[str, Any] | None = None


class Row(NamedTuple):
    """One thing that happened. `what`: the name of its event, or a word for what has no event.

    `seq` is the number of its event; if it has none (`told` is False), of the last event before it.
    """

    at: float
    what: str
    seq: int
    told: bool
    address: str | None
    detail: dict[str, Any]


def note(
    db: sqlite3.Connection | Tx,
    about: About,
    what: str,
    at: float,
    event: int | None = None,
) -> None:
    """Add what happened at this time (seconds since 1970); `event` is the number of the event that tells it, if any."""
    most = MOST if what in _REPEATED else -1
    db.execute(
        "INSERT INTO timeline (message, number, at, what, seq, told, address, detail) "
        "SELECT ?1, n + 1, ?2, ?3, ?4, ?5, ?6, ?7 "
        "FROM (SELECT coalesce((SELECT number FROM timeline WHERE message = ?1 ORDER BY number DESC LIMIT 1), 0) AS n) "
        "WHERE ?8 < 0 OR n < ?8",
        (
            about.message,
            at,
            what,
            _last(db) if event is None else event,
            event is not None,
            about.address,
            msgspec.json.encode(about.detail).decode() if about.detail else None,
            most,
        ),
    )


def note_all(
    db: sqlite3.Connection | Tx, messages: Iterable[int], what: str, at: float, detail: Mapping[str, Any]
) -> None:
    """Add to each of these messages what happened to all of them, without an event."""
    for message in messages:
        note(db, About(message, None, detail), what, at)


def message_by_id(db: sqlite3.Connection | Tx, account: str, message_id: str) -> int | None:
    """The row of the account's newest message with this Message-ID."""
    row = db.execute(
        "SELECT id FROM message WHERE message_id = ? AND account = ? ORDER BY id DESC LIMIT 1", (message_id, account)
    ).fetchone()
    return None if row is None else int(row[0])


def of_message(db: sqlite3.Connection, message: int) -> list[Row]:
    """Everything noted about a message, in the order in which it was, replies included."""
    rows = db.execute(
        "SELECT at, what, seq, told, address, detail FROM timeline WHERE message = ? ORDER BY number", (message,)
    )
    found = [
        Row(at, what, seq, bool(told), address, msgspec.json.decode(detail) if detail else {})
        for at, what, seq, told, address, detail in rows
    ]
    replies = db.execute("SELECT at, event, reply FROM reply WHERE message = ? ORDER BY event", (message,))
    return found + [Row(at, "messageReply", event, True, None, {"messageId": reply}) for at, event, reply in replies]


def times(db: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, float]:
    """When each of these events happened; those that retention has removed are missing."""
    rows = (db.execute("SELECT seq, created FROM event WHERE seq = ?", (each,)).fetchone() for each in numbers)
    return {row[0]: float(row[1]) for row in rows if row is not None}


def events(db: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, tuple[float, bytes]]:
    """When each of these events happened, and its body; those that retention has removed are missing."""
    found = {}
    for number in numbers:
        row = db.execute("SELECT created, body FROM event WHERE seq = ?", (number,)).fetchone()
        if row is not None:
            found[number] = (float(row[0]), bytes(row[1]))
    return found


def _last(db: sqlite3.Connection | Tx) -> int:
    if isinstance(db, Tx):
        return db.last_seq
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
    return int(last)
