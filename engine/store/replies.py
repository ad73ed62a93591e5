"""Replies to sent messages: which were announced, as long as the sent message is remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from engine.store.writer import Tx


class Sent(msgspec.Struct, frozen=True):
    """A message of the outbox: row id, queue id and Message-ID."""

    id: int
    queue_id: str
    message_id: str


def find_sent(db: sqlite3.Connection | Tx, account: str, message_ids: Sequence[str]) -> Sent | None:
    """The account's message with one of these Message-IDs: the first of them that it sent, the newest message."""
    if not message_ids:
        return None
    places = ",".join("?" * len(message_ids))
    rows = db.execute(
        f"SELECT id, queue_id, message_id FROM message WHERE message_id IN ({places}) AND account = ?",
        (*message_ids, account),
    ).fetchall()
    return min(
        (Sent(*row) for row in rows), key=lambda sent: (message_ids.index(sent.message_id), -sent.id), default=None
    )


def told(db: sqlite3.Connection | Tx, sent: Sent, reply: str) -> bool:
    """Whether this reply to the message was announced."""
    found = db.execute("SELECT 1 FROM reply WHERE message = ? AND reply = ?", (sent.id, reply)).fetchone()
    return found is not None


def note(tx: Tx, sent: Sent, reply: str, event: int, at: float) -> None:
    """Remember the event that announces a reply; `at` in seconds since 1970."""
    tx.execute("INSERT INTO reply (message, reply, event, at) VALUES (?, ?, ?, ?)", (sent.id, reply, event, at))
