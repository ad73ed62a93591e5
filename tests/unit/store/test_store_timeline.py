"""What happened to a message is found by indexes, never by reading the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store import attempts, database, delivery_figures, messages, replies, timeline
from engine.store.timeline import MOST, About


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    database.prepare_folder(tmp_path)
    opened = database.open_writer(tmp_path)
    yield opened
    opened.close()


def plans(db: sqlite3.Connection, statements: list[str]) -> list[str]:
    """What SQLite does for each of these statements, as it was given them."""
    return [row[3] for each in statements for row in db.execute(f"EXPLAIN QUERY PLAN {each}")]


def test_no_query_of_a_timeline_scans(db: sqlite3.Connection) -> None:
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    timeline.of_message(db, 7)
    timeline.events(db, [1])
    timeline.times(db, [1])
    timeline.message_by_id(db, "acme", "<1@x.example>")
    timeline.note(db, About(7), "trackOpen", 1.0, 3)
    attempts.of_message(db, 7)
    messages.by_queue_id(db, "x")
    messages.recipients(db, 7)
    replies.find_sent(db, "acme", ["<1@x.example>"])
    db.set_trace_callback(None)
    found = plans(db, [each for each in asked if each.startswith(("SELECT", "INSERT"))])
    assert len(found) >= 9
    tables = ("timeline", "event", "message", "attempt", "recipient", "reply")
    assert [plan for plan in found if plan.startswith(tuple(f"SCAN {table}" for table in tables))] == []


def test_no_query_of_figures_reads_other_hours(db: sqlite3.Connection) -> None:
    for query in (
        "SELECT domain FROM delivery_figure WHERE hour = 1 AND account = 'a'",
        "SELECT sum(n) FROM delivery_figure WHERE hour >= 1 AND hour < 2 GROUP BY account, domain, outcome",
        "SELECT sum(n) FROM delivery_figure WHERE hour IN (1, 2) AND account = 'a' GROUP BY account, domain, outcome",
    ):
        assert "SEARCH delivery_figure USING PRIMARY KEY (hour" in plans(db, [query])[0]


def test_opens_are_bounded_and_what_else_happens_is_not(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    for number in range(MOST + 5):
        timeline.note(db, About(7), "trackOpen", float(number), number)
    timeline.note(db, About(8), "trackOpen", 1.0, 1)
    timeline.note(
        db,
        About(7),
        "messageBounce",
        1.0,
        MOST,
    )
    db.execute("COMMIT")
    found = timeline.of_message(db, 7)
    assert len(found) == MOST + 1
    assert found[-1].what == "messageBounce"
    assert len(timeline.of_message(db, 8)) == 1


class TestFigures:
    def test_hours_become_days_and_days_go(self, db: sqlite3.Connection) -> None:
        day = 20_000 * 24
        for hour in range(day, day + 24):
            add(db, hour, "acme", {("x.example", "sent/0"): 2, ("y.example", "deferred"): 1})
        before = figures(db, day)
        assert before.total == {"sent/0": 48, "deferred": 24}
        assert before.domains == [("x.example", {"sent/0": 48}), ("y.example", {"deferred": 24})]
        assert delivery_figures.summary(db, range(day, day + 24), None, None, 1).other_domains == 1
        now = (day + 24) * 3600.0 + delivery_figures.HOURLY
        while delivery_figures.compact(db, now):  # type: ignore[arg-type]
            pass
        assert db.execute("SELECT DISTINCT hour FROM delivery_figure").fetchall() == [(day,)]
        assert figures(db, day) == before
        assert figures(db, day, "acme") == before
        assert figures(db, day, "acme", "y.example").total == {"deferred": 24}
        assert figures(db, day, "other").domains == []
        while delivery_figures.compact(db, now + delivery_figures.KEPT):  # type: ignore[arg-type]
            pass
        assert db.execute("SELECT count(*) FROM delivery_figure").fetchone() == (0,)

    def test_the_busiest_come_first(self, db: sqlite3.Connection) -> None:
        add(db, 5, "acme", {("x.example", "sent/0"): 2, ("y.example", "sent/0"): 3, ("", "sent/0"): 9})
        assert delivery_figures.busiest(db, 0, "domain", 5) == ["y.example", "x.example"]
        assert delivery_figures.busiest(db, 0, "domain", 1) == ["y.example"]
        assert delivery_figures.busiest(db, 6, "domain", 5) == []


def add(db: sqlite3.Connection, hour: int, account: str, counts: delivery_figures.Counts) -> None:
    delivery_figures.add(db, hour, account, counts)  # type: ignore[arg-type]


def figures(db: sqlite3.Connection, day: int, *narrowed: str) -> delivery_figures.Summary:
    account, domain = (*narrowed, None, None)[:2]
    return delivery_figures.summary(db, range(day, day + 24), account, domain, 50)
