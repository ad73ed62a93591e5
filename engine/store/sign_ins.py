"""Sign-ins under way at OAuth2 providers, each found by its `state`, of which only a hash is stored.

The record is sealed JSON: it holds the PKCE verifier. A row stays until it expires, even after use, so that a repeated
callback can be recognized.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import NamedTuple

from engine.store.writer import Tx

FIELD = "signIn"
"""The field that records are sealed for."""
PER_FORM = 10
"""Maximum sign-ins under way from one link; a new one replaces the oldest."""


class SignInRow(NamedTuple):
    """One sign-in. `form` is the nonce of the link that began it."""

    state: str
    form: str
    record: str
    expires: float
    used: int


_COLUMNS = "state, form, record, expires, used"


def hashed(state: str) -> str:
    """The hash stored for a `state`."""
    return hashlib.sha256(state.encode()).hexdigest()


def add(tx: Tx, row: SignInRow, now: float) -> None:
    """Add a sign-in and remove expired ones."""
    tx.execute("DELETE FROM sign_in WHERE expires < ?", (now,))
    tx.execute(f"INSERT INTO sign_in ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", row)
    tx.execute(
        "DELETE FROM sign_in WHERE form = ? AND state NOT IN "
        "(SELECT state FROM sign_in WHERE form = ? ORDER BY expires DESC, rowid DESC LIMIT ?)",
        (row.form, row.form, PER_FORM),
    )


def get(db: sqlite3.Connection | Tx, state: str, now: float) -> SignInRow | None:
    """The sign-in with this `state`, used or not, unless it has expired."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM sign_in WHERE state = ? AND expires >= ?", (hashed(state), now)
    ).fetchone()
    return None if row is None else SignInRow(*row)


def use(tx: Tx, state: str) -> bool:
    """Mark a sign-in as used; False if it already was."""
    return tx.execute("UPDATE sign_in SET used = 1 WHERE state = ? AND used = 0", (hashed(state),)).rowcount > 0
