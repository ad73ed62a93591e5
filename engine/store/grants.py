"""OAuth2 grants: the sealed tokens of an account; one row for each account, removed with it.

`version` changes with every sign-in, so that work begun with an older grant can no longer change the row.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from engine.store.writer import Tx

SEALED = {
    "refresh_token": "oauth2.refreshToken",
    "previous_token": "oauth2.previousToken",
    "access_token": "oauth2.accessToken",
}
"""The fields for which the three tokens are sealed, by column."""


class GrantRow(NamedTuple):
    """One grant; the three tokens are sealed. Times in seconds since 1970.

    `previous_token` is the refresh token before the current one, kept until an access token from the new one worked.
    `asked`: when a refresh began whose answer is not known. `gone` is JSON of the error that ended the grant. `given`:
    SHA-256 of the refresh token that it began with.
    """

    account: str
    app: str
    user: str
    refresh_token: str | None
    previous_token: str | None
    access_token: str | None
    scopes: str
    obtained: float | None
    expires: float | None
    refresh_obtained: float | None
    version: int
    asked: float | None
    gone: bytes | None
    given: str | None


_COLUMNS = ", ".join(GrantRow._fields)
_MARKS = ", ".join("?" * len(GrantRow._fields))


def get(db: sqlite3.Connection | Tx, account: str) -> GrantRow | None:
    """The grant of an account."""
    row = db.execute(f"SELECT {_COLUMNS} FROM oauth_grant WHERE account = ?", (account,)).fetchone()
    return GrantRow(*row) if row else None


def save(tx: Tx, row: GrantRow) -> int:
    """Store a new grant in place of any earlier one; return its version."""
    found = tx.execute("SELECT version FROM oauth_grant WHERE account = ?", (row.account,)).fetchone()
    version = row.version if found is None else int(found[0]) + 1
    tx.execute(f"INSERT OR REPLACE INTO oauth_grant ({_COLUMNS}) VALUES ({_MARKS})", row._replace(version=version))
    return version


def put(tx: Tx, row: GrantRow) -> bool:
    """Update the grant; False, with nothing changed, if it has been replaced or removed."""
    assignments = ", ".join(f"{name} = ?" for name in GrantRow._fields)
    changed = tx.execute(
        f"UPDATE oauth_grant SET {assignments} WHERE account = ? AND version = ?", (*row, row.account, row.version)
    )
    return changed.rowcount > 0


def remove(tx: Tx, account: str) -> None:
    """Remove the grant of an account that stays."""
    tx.execute("DELETE FROM oauth_grant WHERE account = ?", (account,))


def of_user(db: sqlite3.Connection | Tx, app: str, user: str) -> list[str]:
    """The accounts whose grants this user gave to this app: their own mailbox, and shared ones."""
    rows = db.execute("SELECT account FROM oauth_grant WHERE app = ? AND user = ? COLLATE NOCASE", (app, user))
    return [account for (account,) in rows]


def count_of_app(db: sqlite3.Connection | Tx, app: str) -> int:
    """How many accounts hold a grant of an app."""
    (count,) = db.execute("SELECT count(*) FROM oauth_grant WHERE app = ?", (app,)).fetchone()
    return int(count)
