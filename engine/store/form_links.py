"""The links to the form: how often each was used to probe servers, and whether it has connected an account.

A row is added when a link is first used for either, and removed some time after the link has expired.
"""

from __future__ import annotations

import sqlite3

from engine.store.writer import Tx

KEPT_LONGER = 3600.0
"""Seconds for which a row outlives its link: a sign-in may still be under way."""
_ADD = "INSERT INTO form (nonce, expires) VALUES (?, ?) ON CONFLICT (nonce) DO NOTHING"


class LinkUsed(Exception):
    """This link has already connected an account."""


def used(db: sqlite3.Connection | Tx, nonce: str) -> bool:
    """Whether the link with this nonce has connected an account."""
    row = db.execute("SELECT used FROM form WHERE nonce = ?", (nonce,)).fetchone()
    return row is not None and row[0] is not None


def count_probe(tx: Tx, nonce: str, expires: float, now: float) -> int:
    """Count one more probe with a link; return the count."""
    tx.execute("DELETE FROM form WHERE expires < ?", (now,))
    tx.execute(_ADD, (nonce, expires))
    row = tx.execute("UPDATE form SET probes = probes + 1 WHERE nonce = ? RETURNING probes", (nonce,)).fetchone()
    return int(row[0])


def use(tx: Tx, nonce: str, expires: float, now: float) -> None:
    """Use up a link to connect an account. Raises `LinkUsed` if it was used before."""
    tx.execute(_ADD, (nonce, expires))
    if not tx.execute("UPDATE form SET used = ? WHERE nonce = ? AND used IS NULL", (now, nonce)).rowcount:
        raise LinkUsed
