"""Reads the outbox: pages of messages with their recipients, and counts.

Messages that have not ended come in the order in which they are due, ended ones newest first. Every query uses an
index, so its cost depends on the number of matching messages only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.model.message import Message, Recipient
from engine.model.message_states import State
from engine.store import messages

_LAST = chr(0x10FFFF)
"""After every character that an address has."""


class Counts(msgspec.Struct, frozen=True):
    """Messages that have not ended: being sent, due now, due later. `oldest`: since when the first is due."""

    active: int
    waiting: int
    delayed: int
    oldest: float | None = None


def page(
    db: sqlite3.Connection,
    *,
    account: str | None,
    state: str | None,
    ended: bool,
    recipient: str | None = None,
    first: int,
    limit: int,
) -> tuple[int, list[Message]]:
    """The number of matching messages, and at most `limit` of them from the `first`-th on (counted from 0).

    `recipient` is what one of their addresses begins with, in upper or lower case.
    """
    where, arguments = ["ended IS NOT NULL" if ended else "ended IS NULL"], list[Any]()
    for column, value in (("state", state), ("account", account)):
        if value is not None:
            where.append(f"{column} = ?")
            arguments.append(value)
    index = f"INDEXED BY {'message_ended_by_state' if ended else 'message_open'}"
    if recipient is not None:
        # What few addresses begin with finds few messages; a scan of the others' index would cost more.
        index = ""
        where.append(
            "id IN (SELECT message FROM recipient WHERE address >= ? COLLATE NOCASE AND address < ? COLLATE NOCASE)"
        )
        arguments += recipient, f"{recipient}{_LAST}"
    source = f"FROM message {index} WHERE {' AND '.join(where)}"
    (total,) = db.execute(f"SELECT count(*) {source}", arguments).fetchone()
    order = "id DESC" if ended else "next_at, id"
    ids = db.execute(f"SELECT id {source} ORDER BY {order} LIMIT ? OFFSET ?", (*arguments, limit, first)).fetchall()
    found = (messages.get(db, each) for (each,) in ids)
    return total, [message for message in found if message is not None]


def recipients(db: sqlite3.Connection, found: Sequence[Message]) -> dict[int, list[Recipient]]:
    """The recipients of each of these messages, by message id."""
    by_message: dict[int, list[Recipient]] = {message.id: [] for message in found}
    rows = db.execute(
        "SELECT message, position, address, state, code, response FROM recipient "
        f"WHERE message IN ({', '.join('?' * len(found))}) ORDER BY message, position",
        [message.id for message in found],
    )
    for message, place, address, state, code, said in rows:
        by_message[message].append(Recipient(place, address, State(state), code, said))
    return by_message


def counts(db: sqlite3.Connection, account: str | None, now: float) -> Counts:
    """Count the messages that have not ended, of one account or of all."""
    where, arguments = ("AND account = ?2", [account]) if account is not None else ("", [])
    row = db.execute(
        "SELECT coalesce(sum(state = 'sending'), 0), coalesce(sum(state != 'sending' AND next_at <= ?1), 0), count(*), "
        "min(CASE WHEN state != 'sending' AND next_at <= ?1 THEN next_at END) "
        f"FROM message INDEXED BY message_open WHERE ended IS NULL {where}",
        (now, *arguments),
    ).fetchone()
    active, waiting, every, oldest = row
    return Counts(active, waiting, every - active - waiting, oldest)
