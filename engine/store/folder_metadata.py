"""What the engine remembers about its folder: a few JSON values under their names.

`restored`: the folder is a backup nobody has served yet. `released`: how often held messages were released from the
command line, by which a running engine notices. `age`: by when records are counted as old (`queue/retention_clock.py`).
`key`: the id of the key that everything was last sealed anew with.
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
    """The value under this name; None when there is none."""
    row = db.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
    return msgspec.json.decode(row[0]) if row else None


def put(db: sqlite3.Connection | Tx, name: str, value: Any) -> None:
    """Set a value."""
    db.execute(
        "INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, msgspec.json.encode(value)),
    )


def remove(tx: Tx, name: str) -> None:
    """Forget a value."""
    tx.execute("DELETE FROM mark WHERE name = ?", (name,))
