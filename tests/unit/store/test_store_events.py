"""Event rows: windows, times, and what became of the webhook cursor of earlier versions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from engine.store import database, events, webhooks
from engine.store.migrations import MIGRATIONS


@contextlib.contextmanager
def journal(rows: list[tuple[int, str | None, str, bytes, float]]) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for step in MIGRATIONS:
            db.executescript(step)
        db.executemany("INSERT INTO event (seq, account, name, body, created) VALUES (?, ?, ?, ?, ?)", rows)
        yield db


def test_a_window_is_bounded_by_number_and_octets() -> None:
    with journal([(n, "ab"[n % 2], "x" if n % 3 else "y", b"." * 10, n) for n in range(1, 31)]) as db:
        assert [row[0] for row in events.window(db, 10, 20, 100, 1000)] == list(range(11, 21))
        assert [row[0] for row in events.window(db, 10, 20, 3, 1000)] == [11, 12, 13]
        assert [row[0] for row in events.window(db, 10, 20, 100, 25)] == [11, 12, 13]
        assert [row[0] for row in events.window(db, 10, 20, 100, 1000, "a", {"y"})] == [12, 18]
        assert [row[0] for row in events.of_account(db, "b", 10, 30, 3)] == [11, 13, 15]


def test_since_finds_the_number_before_a_moment() -> None:
    with journal([(n, None, "x", b"", 100.0 + n) for n in range(5, 50)]) as db:
        assert [events.since(db, moment) for moment in (0, 105, 105.5, 120, 149, 1000)] == [4, 4, 5, 19, 48, 49]
    with journal([]) as db:
        assert events.since(db, 5.0) == 0


def test_the_cursor_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    database.prepare_folder(tmp_path)
    with sqlite3.connect(tmp_path / database.FILE) as db:
        for step in MIGRATIONS[:2]:
            db.executescript(step)
        db.execute("INSERT INTO webhook_cursor (name, seq) VALUES ('default', 17)")
        db.execute("PRAGMA user_version=2")
    db.close()
    migrated = database.open_writer(tmp_path)
    (row,) = webhooks.every(migrated)
    assert (row.id, row.seq, row.health) in {("default", 17, b'{"started":true}'), ("default", 17, '{"started":true}')}
    migrated.close()
