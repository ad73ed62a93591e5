"""Webhook endpoints: their records, how far each has come, the lines that lag behind, and the parked events.

`webhook.seq`: the endpoint is done with every event up to this number, except for accounts with a line of their own,
which are done up to the line's number. Both change in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from engine.store.writer import Tx

DEFAULT = "default"
"""The id of the endpoint of the settings."""
Bound = Literal["url", "headers"]
"""The webhook settings of an account that a token for that account alone may set."""


class EndpointRow(NamedTuple):
    """One endpoint. `record` is sealed, `health` is JSON; times are in seconds since 1970."""

    id: str
    owner: str | None
    record: bytes
    seq: int
    health: bytes
    created: float
    updated: float


class LineRow(NamedTuple):
    """One account (`""`: the engine's own events) that lags behind at an endpoint."""

    account: str
    seq: int
    attempts: int
    since: float | None
    next_at: float | None
    gone: int
    error: str | None


class ParkedRow(NamedTuple):
    """One event that an endpoint did not accept."""

    seq: int
    account: str
    name: str
    attempts: int
    reason: str
    parked: float
    retrying: int


def every(db: sqlite3.Connection) -> list[EndpointRow]:
    """All endpoints, oldest first."""
    rows = db.execute("SELECT id, owner, record, seq, health, created, updated FROM webhook ORDER BY created, id")
    return [EndpointRow(*row) for row in rows]


def add(tx: Tx, row: EndpointRow) -> None:
    """Add an endpoint."""
    tx.execute(
        "INSERT INTO webhook (id, owner, record, seq, health, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?)", row
    )


def change(tx: Tx, endpoint: str, record: bytes, now: float) -> None:
    """Replace the record of an endpoint."""
    tx.execute("UPDATE webhook SET record = ?, updated = ? WHERE id = ?", (record, now, endpoint))


def remove(tx: Tx, endpoint: str) -> None:
    """Remove an endpoint and everything that belongs to it."""
    tx.execute("DELETE FROM webhook WHERE id = ?", (endpoint,))


def lines(db: sqlite3.Connection, endpoint: str) -> list[LineRow]:
    """The lines of an endpoint."""
    rows = db.execute(
        "SELECT account, seq, attempts, since, next_at, gone, error FROM webhook_line WHERE endpoint = ?", (endpoint,)
    )
    return [LineRow(*row) for row in rows]


def keep(tx: Tx, endpoint: str, seq: int, health: bytes, lag: Iterable[LineRow], done: Iterable[str]) -> None:
    """Store how far an endpoint has come: its number, the lines that lag, and the accounts that no longer do."""
    if not tx.execute("UPDATE webhook SET seq = ?, health = ? WHERE id = ?", (seq, health, endpoint)).rowcount:
        return  # removed in the meantime
    tx.executemany(
        "INSERT OR REPLACE INTO webhook_line (endpoint, account, seq, attempts, since, next_at, gone, error) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(endpoint, *line) for line in lag],
    )
    tx.executemany(
        "DELETE FROM webhook_line WHERE endpoint = ? AND account = ?", [(endpoint, account) for account in done]
    )


def move(tx: Tx, endpoint: str, seq: int) -> None:
    """Set an endpoint to a number; its lines and the parked events above it are removed."""
    tx.execute("UPDATE webhook SET seq = ? WHERE id = ?", (seq, endpoint))
    tx.execute("DELETE FROM webhook_line WHERE endpoint = ?", (endpoint,))
    tx.execute("DELETE FROM webhook_parked WHERE endpoint = ? AND seq > ?", (endpoint, seq))


def park(tx: Tx, endpoint: str, row: ParkedRow) -> None:
    """Park an event."""
    tx.execute(
        "INSERT OR REPLACE INTO webhook_parked (endpoint, seq, account, name, attempts, reason, parked, retrying) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (endpoint, *row),
    )


def parked(
    db: sqlite3.Connection, endpoint: str, limit: int = -1, offset: int = 0, *, retrying: bool = False
) -> list[ParkedRow]:
    """The parked events of an endpoint (with `retrying`, those to be sent again), by number."""
    rows = db.execute(
        "SELECT seq, account, name, attempts, reason, parked, retrying FROM webhook_parked "
        "WHERE endpoint = ? AND retrying >= ? ORDER BY seq LIMIT ? OFFSET ?",
        (endpoint, int(retrying), limit, offset),
    )
    return [ParkedRow(*row) for row in rows]


def parked_count(db: sqlite3.Connection, endpoint: str) -> int:
    """How many events are parked at an endpoint."""
    (count,) = db.execute("SELECT count(*) FROM webhook_parked WHERE endpoint = ?", (endpoint,)).fetchone()
    return int(count)


def retry(tx: Tx, endpoint: str, seqs: Collection[int] | None) -> int:
    """Mark parked events (None: all) to be sent again; return how many."""
    if seqs is None:
        return tx.execute("UPDATE webhook_parked SET retrying = 1 WHERE endpoint = ?", (endpoint,)).rowcount
    return sum(
        tx.execute("UPDATE webhook_parked SET retrying = 1 WHERE endpoint = ? AND seq = ?", (endpoint, seq)).rowcount
        for seq in seqs
    )


def skip(tx: Tx, endpoint: str, seqs: Collection[int] | None) -> int:
    """Remove parked events (None: all); return how many."""
    if seqs is None:
        return tx.execute("DELETE FROM webhook_parked WHERE endpoint = ?", (endpoint,)).rowcount
    return sum(
        tx.execute("DELETE FROM webhook_parked WHERE endpoint = ? AND seq = ?", (endpoint, seq)).rowcount
        for seq in seqs
    )


_BOUND: dict[Bound, str] = {"url": "webhook_of_account", "headers": "webhook_headers_of_account"}


def of_accounts(db: sqlite3.Connection, what: Bound) -> set[str]:
    """The accounts whose own URL (or headers) was set with a token for that account alone."""
    return {row[0] for row in db.execute(f"SELECT account FROM {_BOUND[what]}")}


def mark_account(tx: Tx, account: str, what: Bound, bound: bool) -> None:
    """Note whether an account's own URL (or headers) was set with a token for that account alone."""
    tx.execute(f"DELETE FROM {_BOUND[what]} WHERE account = ?", (account,))
    if bound:
        tx.execute(f"INSERT INTO {_BOUND[what]} (account) VALUES (?)", (account,))
