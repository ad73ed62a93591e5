"""Reads the outbox: pages of messages with their recipients, and counts.

Messages that have not ended come in the order in which they are due, ended ones newest first. Every query uses an
index, so its cost depends on the number of matching messages only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import Any

import msgspec

from engine.model.message import Message, Recipient
from engine.model.message_states import ENDED, State
from engine.store import messages

_LAST = chr(0x10FFFF)
"""Sorts after every character of an address."""
FEW = 5000
"""Up to this many messages are looked up one by one; more are searched for in all that match, in their order."""
_OPEN = tuple(state for state in State if state not in ENDED)
_INDEXES = {
    (False, False): "message_open_by_state",
    (False, True): "message_open",
    (True, False): "message_ended_newest",
    (True, True): "message_ended_by_state",
}
"""The index to use, by whether the messages have ended, and whether those of one account are requested."""


class Counts(msgspec.Struct, frozen=True):
    """Messages that have not ended: being sent, due now, due later. `oldest`: since when the first is due."""

    active: int
    waiting: int
    delayed: int
    oldest: float | None = None


class Depth(msgspec.Struct, frozen=True):
    """The messages in one state: `due` is how many are due, `first_due` since when (seconds since 1970)."""

    count: int
    due: int
    first_due: float | None


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
    condition, arguments = f"ended IS {'NOT ' if ended else ''}NULL", list[Any]()
    for column, value in (("state", state), ("account", account)):
        if value is not None:
            condition += f" AND {column} = ?"
            arguments.append(value)
    index = "INDEXED BY " + _INDEXES[ended, account is not None]
    order = "id DESC" if ended else "next_at, id"
    matching = f"SELECT id, next_at FROM message {index} WHERE {condition}"
    if state is None and account is None:
        # The index has the order of each state; SQLite merges them.
        matching = " UNION ALL ".join(f"{matching} AND state = '{each}'" for each in _OPEN)
    ordered = f"{matching} ORDER BY {order}"
    if recipient is not None:
        wanted = _addressed(db, recipient)
        if len(wanted) > FEW:
            wanted.intersection_update(_ids(db, f"SELECT id FROM message {index} WHERE {condition}", arguments))
        if len(wanted) > FEW and first < FEW:
            # Dense enough to come upon them; to have all in order takes longer than everything else.
            with closing(db.execute(ordered, arguments)) as rows:
                ids = list(islice((each for each, _ in rows if each in wanted), first, first + limit))
            return len(wanted), _messages(db, ids)
        if len(wanted) <= FEW:
            index, condition = "", f"id IN (SELECT value FROM json_each(?)) AND {condition}"
            arguments.insert(0, msgspec.json.encode([*wanted]).decode())
        found = _ids(db, f"SELECT id FROM message {index} WHERE {condition} ORDER BY {order}", arguments)
        ids = [each for each in found if each in wanted]
        return len(ids), _messages(db, ids[first : first + limit])
    (total,) = db.execute(f"SELECT count(*) FROM message {index} WHERE {condition}", arguments).fetchone()
    rows = db.execute(f"{ordered} LIMIT ? OFFSET ?", (*arguments, limit, first))
    return total, _messages(db, [each for each, _ in rows.fetchall()])


def _addressed(db: sqlite3.Connection, beginning: str) -> set[int]:
    """The messages to an address that begins with this."""
    query = "SELECT message AS id FROM recipient WHERE address >= ? COLLATE NOCASE AND address < ? COLLATE NOCASE"
    return set(_ids(db, query, (beginning, f"{beginning}{_LAST}")))


def _ids(db: sqlite3.Connection, query: str, arguments: Sequence[Any]) -> list[int]:
    """The ids that a query finds, fetched as one value: making 100,000 rows would take most of the time."""
    (found,) = db.execute(f"SELECT json_group_array(id) FROM ({query})", arguments).fetchone()
    return msgspec.json.decode(found, type=list[int])


def _messages(db: sqlite3.Connection, ids: Sequence[int]) -> list[Message]:
    found = (messages.get(db, each) for each in ids)
    return [message for message in found if message is not None]


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
    index = _INDEXES[False, account is not None]
    where, arguments = ("AND account = ?2", [account]) if account is not None else ("", [])
    source = f"FROM message INDEXED BY {index} WHERE ended IS NULL {where}"
    not_sending = ", ".join(f"'{each}'" for each in _OPEN if each != State.SENDING)
    due = f"{source} AND state IN ({not_sending}) AND next_at <= ?1"
    every, active, waiting, oldest = db.execute(
        f"SELECT (SELECT count(*) {source}), (SELECT count(*) {source} AND state = 'sending'), "
        f"(SELECT count(*) {due}), (SELECT min(next_at) {due})",
        (now, *arguments),
    ).fetchone()
    return Counts(active, waiting, every - active - waiting, oldest)


def depths(db: sqlite3.Connection, now: float) -> dict[State, Depth]:
    """The messages in each state that is not final."""
    return {state: _depth(db, state, now) for state in State if state not in ENDED}


def _depth(db: sqlite3.Connection, state: State, now: float) -> Depth:
    where = "FROM message INDEXED BY message_open_by_state WHERE ended IS NULL AND state = ?"
    (count,) = db.execute(f"SELECT count(*) {where}", (state,)).fetchone()
    due, first = db.execute(f"SELECT count(*), min(next_at) {where} AND next_at <= ?", (state, now)).fetchone()
    return Depth(count, due, first)
