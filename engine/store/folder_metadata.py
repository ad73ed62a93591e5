"""What the engine remembers about its data folder: a few JSON values by name.

* `restored`: the folder is a restored backup on which no engine has run yet.
* `released`: how often held messages were released from the command line; a running engine watches it.
* `age`: the reading of the clock that records age by (`queue/retention_clock.py`).
* `key`: the id of the key with which everything was last sealed again.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from engine.store.writer import Tx

RESTORED = "restored"
RELEASED = "released"
AGE = "age"
KEY = "key"


def get(db: sqlite3.Connection | Tx, name: str) -> Any:
    """The value with this name; None if there is none."""
    row = db.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
    return msgspec.json.decode(row[0]) if row else None


def put(db: sqlite3.Connection | Tx, name: str, value: Any) -> None:
    """Set a value."""
    db.execute(
        "INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, msgspec.json.encode(value)),
    )


def remove(tx: Tx, name: str) -> None:
    """Remove a value."""
    tx.execute("DELETE FROM mark WHERE name = ?", (name,))
