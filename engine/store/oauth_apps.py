"""OAuth2 apps: their records as JSON with sealed secrets, and their last error."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from engine.store.writer import Tx

SEALED = ("clientSecret", "serviceKey")
"""The members of a record that are sealed."""


class AppRow(NamedTuple):
    """One app. `warned`: the last warning, as a number of days before its secret expires; None before the first.

    `error` is JSON of the app's error, None if there is none. Times in seconds since 1970.
    """

    id: str
    record: bytes
    created: float
    updated: float
    secret_expires: float | None
    warned: int | None
    error: bytes | None


_COLUMNS = "id, record, created, updated, secret_expires, warned, error"


def every(db: sqlite3.Connection) -> list[AppRow]:
    """All apps, oldest first."""
    return [AppRow(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM oauth_app ORDER BY created, id")]


def add(tx: Tx, app: str, record: bytes, secret_expires: float | None, now: float) -> None:
    """Add an app."""
    tx.execute(
        "INSERT INTO oauth_app (id, record, created, updated, secret_expires) VALUES (?, ?, ?, ?, ?)",
        (app, record, now, now, secret_expires),
    )


def change(tx: Tx, app: str, record: bytes, secret_expires: float | None, now: float) -> None:
    """Replace an app's record and clear its error. If the expiry changes, warnings start over."""
    tx.execute(
        "UPDATE oauth_app SET record = ?, updated = ?, error = NULL, "
        "warned = CASE WHEN secret_expires IS ? THEN warned END, secret_expires = ? WHERE id = ?",
        (record, now, secret_expires, secret_expires, app),
    )


def remove(tx: Tx, app: str) -> None:
    """Remove an app. Accounts keep their grants: the tokens can still be revoked, and work until they expire."""
    tx.execute("DELETE FROM oauth_app WHERE id = ?", (app,))


def note_warned(tx: Tx, app: str, days: int) -> None:
    """Note that the warning for `days` days before expiry has been given."""
    tx.execute("UPDATE oauth_app SET warned = ? WHERE id = ?", (days, app))


def note_error(tx: Tx, app: str, error: bytes | None) -> None:
    """Set the error of an app; None clears it."""
    tx.execute("UPDATE oauth_app SET error = ? WHERE id = ?", (error, app))
