"""The settings made through the API, each a JSON value under its name."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from engine.store.writer import Tx


def load(db: sqlite3.Connection | Tx) -> dict[str, bytes]:
    """All settings that have been set, in stored form."""
    return dict(db.execute("SELECT name, value FROM setting").fetchall())


def save(tx: Tx, values: dict[str, Any]) -> None:
    """Set each of `values`."""
    tx.executemany(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [(name, msgspec.json.encode(value)) for name, value in values.items()],
    )
