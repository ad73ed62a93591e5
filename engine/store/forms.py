"""What has become of the links to the form: how often servers were tried with one, and whether it has made an account.

A row is made when a link is first used for either, and goes some time after the link has expired.
"""

from __future__ import annotations

import sqlite3

from engine.store.writer import Tx

KEPT_LONGER = 3600.0
"""Seconds beyond a link's life for which is known what became of it: a sign-in may still be under way."""
_ADD = "INSERT INTO form (nonce, expires) VALUES (?, ?) ON CONFLICT (nonce) DO NOTHING"


class LinkUsed(Exception):
    """An account was connected with this link already."""


def used(db: sqlite3.Connection | Tx, nonce: str) -> bool:
    """Whether an account was connected with the link that holds this nonce."""
    row = db.execute("SELECT used FROM form WHERE nonce = ?", (nonce,)).fetchone()
    return row is not None and row[0] is not None


def count_probe(tx: Tx, nonce: str, expires: float, now: float) -> int:
    """Note one more probe with a link; how many there were with it."""
    tx.execute("DELETE FROM form WHERE expires < ?", (now,))
    tx.execute(_ADD, (nonce, expires))
    row = tx.execute("UPDATE form SET probes = probes + 1 WHERE nonce = ? RETURNING probes", (nonce,)).fetchone()
    return int(row[0])


def use(tx: Tx, nonce: str, expires: float, now: float) -> None:
    """An account is connected with a link: the first and the last. Raises `LinkUsed`."""
    tx.execute(_ADD, (nonce, expires))
    if not tx.execute("UPDATE form SET used = ? WHERE nonce = ? AND used IS NULL", (now, nonce)).rowcount:
        raise LinkUsed
