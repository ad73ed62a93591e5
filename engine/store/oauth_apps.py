"""OAuth2 apps: their records as JSON with the secrets sealed in it, and what is wrong with them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from engine.store.writer import Tx

SEALED = ("clientSecret", "serviceKey")
"""The members of a record that are sealed."""


class AppRow(NamedTuple):
    """One app. `warned`: for how many days before its secret's end was warned last, None where it was not.

    `error` is JSON of what is wrong with the app, None while nothing is. Times in seconds since 1970.
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
    """All apps, in the order they were made."""
    return [AppRow(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM oauth_app ORDER BY created, id")]


def add(tx: Tx, app: str, record: bytes, secret_expires: float | None, now: float) -> None:
    """A new app."""
    tx.execute(
        "INSERT INTO oauth_app (id, record, created, updated, secret_expires) VALUES (?, ?, ?, ?, ?)",
        (app, record, now, now, secret_expires),
    )


def change(tx: Tx, app: str, record: bytes, secret_expires: float | None, now: float) -> None:
    """Another record for an app; nothing is known to be wrong with it. Warnings begin anew with another end."""
    tx.execute(
        "UPDATE oauth_app SET record = ?, updated = ?, error = NULL, "
        "warned = CASE WHEN secret_expires IS ? THEN warned END, secret_expires = ? WHERE id = ?",
        (record, now, secret_expires, secret_expires, app),
    )


def remove(tx: Tx, app: str) -> None:
    """Forget an app. What accounts hold of it stays: their tokens can still be revoked, or work until they expire."""
    tx.execute("DELETE FROM oauth_app WHERE id = ?", (app,))


def note_warned(tx: Tx, app: str, days: int) -> None:
    """The warning so many days before the end has been given."""
    tx.execute("UPDATE oauth_app SET warned = ? WHERE id = ?", (days, app))


def note_error(tx: Tx, app: str, error: bytes | None) -> None:
    """What is wrong with an app, None: nothing."""
    tx.execute("UPDATE oauth_app SET error = ? WHERE id = ?", (error, app))
