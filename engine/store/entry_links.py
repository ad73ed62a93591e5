"""One-time links to the pages, at which a person chooses a password: found by the hash of their key, used once.

A link is for a known person, who chooses a new password, or for a new one, who chooses a name too. The functions take a
bare connection as well as a `Tx`, because `engine people link` works with or without a running engine.
"""

from __future__ import annotations

import hashlib
import sqlite3

import msgspec

from engine.store.writer import Tx
from engine.world import World

LIFETIME = 24 * 3600.0
PATH = "/admin/enter"
"""The page that they lead to; the key is its query's `key`."""

Db = sqlite3.Connection | Tx


class EntryLink(msgspec.Struct, frozen=True):
    """One link. `person` is None for a new person, who gets `role`."""

    hash: str
    person: int | None
    role: str
    expires: float


def make(db: Db, world: World, role: str, person: int | None = None) -> str:
    """Make a link, which replaces those for the same person, or new person of the same role; return its key."""
    key, now = world.token_bytes(32).hex(), world.now()
    db.execute("DELETE FROM entry_link WHERE expires < ? OR (person IS ? AND role = ?)", (now, person, role))
    db.execute(
        "INSERT INTO entry_link (hash, person, role, expires) VALUES (?, ?, ?, ?)",
        (_hashed(key), person, role, now + LIFETIME),
    )
    return key


def find(db: Db, key: str, now: float) -> EntryLink | None:
    """The link with this key, unless it was used or has expired."""
    row = db.execute(
        "SELECT hash, person, role, expires FROM entry_link WHERE hash = ? AND expires >= ?", (_hashed(key), now)
    ).fetchone()
    return None if row is None else EntryLink(*row)


def use(db: Db, link: EntryLink) -> bool:
    """Use up a link; False if it was used before."""
    return db.execute("DELETE FROM entry_link WHERE hash = ?", (link.hash,)).rowcount > 0


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
