"""Gateways: their records as JSON with a sealed password, and what each has delivered."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

import msgspec

from engine.store.writer import Tx

SEALED = "pass"
"""The member of a record that is sealed."""


class GatewayRow(NamedTuple):
    """One gateway. Times in seconds since 1970; `last_error` is in the form of `lastError`."""

    id: str
    record: bytes
    created: float
    deliveries: int
    last_use: float | None
    last_error: dict[str, Any] | None


_COLUMNS = "id, record, created, deliveries, last_use, last_error"


def every(db: sqlite3.Connection) -> list[GatewayRow]:
    """All gateways, oldest first."""
    return [_row(row) for row in db.execute(f"SELECT {_COLUMNS} FROM gateway ORDER BY created, id")]


def get(db: sqlite3.Connection | Tx, gateway: str) -> GatewayRow | None:
    """The gateway with this id."""
    row = db.execute(f"SELECT {_COLUMNS} FROM gateway WHERE id = ?", (gateway,)).fetchone()
    return None if row is None else _row(row)


def save(tx: Tx, gateway: str, record: bytes, now: float) -> None:
    """Add a gateway, or replace its record and clear its error; its counters stay."""
    tx.execute(
        "INSERT INTO gateway (id, record, created) VALUES (?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET record = excluded.record, last_error = NULL",
        (gateway, record, now),
    )


def remove(tx: Tx, gateway: str) -> None:
    """Remove a gateway. Messages that wait for it stay, and continue once a gateway with this id exists again."""
    tx.execute("DELETE FROM gateway WHERE id = ?", (gateway,))


def delivered(tx: Tx, gateway: str, now: float) -> None:
    """Count a message that the gateway has taken."""
    tx.execute("UPDATE gateway SET deliveries = deliveries + 1, last_use = ? WHERE id = ?", (now, gateway))


def note_error(tx: Tx, gateway: str, error: dict[str, Any] | None) -> None:
    """Set the error of a gateway; None clears it."""
    text = None if error is None else msgspec.json.encode(error)
    tx.execute("UPDATE gateway SET last_error = ? WHERE id = ?", (text, gateway))


def waiting(db: sqlite3.Connection, gateway: str) -> int:
    """How many messages that have not ended go through this gateway."""
    (count,) = db.execute("SELECT count(*) FROM message WHERE gateway = ? AND ended IS NULL", (gateway,)).fetchone()
    return int(count)


def _row(row: tuple[Any, ...]) -> GatewayRow:
    id, record, created, deliveries, last_use, last_error = row
    error = None if last_error is None else msgspec.json.decode(last_error)
    return GatewayRow(id, record, created, deliveries, last_use, error)
