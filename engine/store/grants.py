"""OAuth2 grants: the tokens an account holds, sealed; one row an account, which goes with it.

`version` is another one each time somebody signs in: what was begun with an older version changes nothing any more.
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

    `previous_token` is the refresh token before the current one, kept until a token of the new one has worked.
    `asked`: a refresh was begun then and its answer is not known. `gone` is JSON of the error that ended the grant.
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


_COLUMNS = ", ".join(GrantRow._fields)
_MARKS = ", ".join("?" * len(GrantRow._fields))


def get(db: sqlite3.Connection | Tx, account: str) -> GrantRow | None:
    """The grant of an account."""
    row = db.execute(f"SELECT {_COLUMNS} FROM oauth_grant WHERE account = ?", (account,)).fetchone()
    return GrantRow(*row) if row else None


def save(tx: Tx, row: GrantRow) -> int:
    """A grant somebody has just given, in the place of the one before; its version."""
    found = tx.execute("SELECT version FROM oauth_grant WHERE account = ?", (row.account,)).fetchone()
    version = row.version if found is None else int(found[0]) + 1
    tx.execute(f"INSERT OR REPLACE INTO oauth_grant ({_COLUMNS}) VALUES ({_MARKS})", row._replace(version=version))
    return version


def put(tx: Tx, row: GrantRow) -> bool:
    """The same grant in another state; False, with nothing changed, when it is another one now, or there is none."""
    assignments = ", ".join(f"{name} = ?" for name in GrantRow._fields)
    changed = tx.execute(
        f"UPDATE oauth_grant SET {assignments} WHERE account = ? AND version = ?", (*row, row.account, row.version)
    )
    return changed.rowcount > 0


def remove(tx: Tx, account: str) -> None:
    """Forget the grant of an account that lives on."""
    tx.execute("DELETE FROM oauth_grant WHERE account = ?", (account,))


def of_user(db: sqlite3.Connection | Tx, app: str, user: str) -> list[str]:
    """The accounts for which this user has signed in to this app: their own mailbox, and shared ones."""
    rows = db.execute("SELECT account FROM oauth_grant WHERE app = ? AND user = ? COLLATE NOCASE", (app, user))
    return [account for (account,) in rows]


def count_of_app(db: sqlite3.Connection | Tx, app: str) -> int:
    """How many accounts hold a grant of an app."""
    (count,) = db.execute("SELECT count(*) FROM oauth_grant WHERE app = ?", (app,)).fetchone()
    return int(count)
