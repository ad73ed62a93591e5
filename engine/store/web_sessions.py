"""Sessions at the pages: found by the hash of their cookie, ended after a time without a visit."""

from __future__ import annotations

import hashlib
import sqlite3

import msgspec

from engine.store.writer import Tx

IDLE = 12 * 3600.0
"""Seconds without a visit after which a session has ended."""
PER_PERSON = 50
"""Maximum sessions of one person; a new one replaces the one that was seen longest ago."""
_COLUMNS = "hash, person, created, seen, address, agent"

Db = sqlite3.Connection | Tx


class SessionRow(msgspec.Struct, frozen=True):
    """One session. `seen` is when it was last used, `agent` what the browser calls itself."""

    hash: str
    person: int
    created: float
    seen: float
    address: str
    agent: str


def hashed(cookie: str) -> str:
    """The hash stored for a cookie."""
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()


def add(tx: Tx, row: SessionRow) -> None:
    """Add a session and remove those that have ended."""
    tx.execute("DELETE FROM web_session WHERE seen < ?", (row.seen - IDLE,))
    tx.execute(f"INSERT INTO web_session ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", tuple(msgspec.structs.astuple(row)))
    tx.execute(
        "DELETE FROM web_session WHERE person = ? AND hash NOT IN "
        "(SELECT hash FROM web_session WHERE person = ? ORDER BY seen DESC, created DESC LIMIT ?)",
        (row.person, row.person, PER_PERSON),
    )


def find(db: Db, cookie: str, now: float) -> SessionRow | None:
    """The session with this cookie, unless it has ended."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM web_session WHERE hash = ? AND seen >= ?", (hashed(cookie), now - IDLE)
    ).fetchone()
    return None if row is None else SessionRow(*row)


def lasts(db: Db, hash_: str, now: float) -> bool:
    """Whether a session has not ended yet; streams check this repeatedly."""
    found = db.execute("SELECT 1 FROM web_session WHERE hash = ? AND seen >= ?", (hash_, now - IDLE)).fetchone()
    return found is not None


def of_person(db: Db, person: int, now: float) -> list[SessionRow]:
    """A person's sessions, last used first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM web_session WHERE person = ? AND seen >= ? ORDER BY seen DESC, hash",
        (person, now - IDLE),
    )
    return [SessionRow(*row) for row in rows]


def touch(tx: Tx, hash_: str, now: float) -> None:
    """Note that a session was used."""
    tx.execute("UPDATE web_session SET seen = max(seen, ?) WHERE hash = ?", (now, hash_))


def end(db: Db, person: int, start: str) -> bool:
    """End the session of a person whose hash begins with `start`; False if there is none."""
    return (
        db.execute(
            "DELETE FROM web_session WHERE person = ? AND substr(hash, 1, ?) = ?", (person, len(start), start)
        ).rowcount
        > 0
    )


def end_all(db: Db, person: int, but: str = "") -> int:
    """End a person's sessions except the one with this hash; return how many."""
    return int(db.execute("DELETE FROM web_session WHERE person = ? AND hash != ?", (person, but)).rowcount)
