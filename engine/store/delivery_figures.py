"""How mail fared, as rows: a number for each hour, account, domain of the recipients, and outcome.

1. The commit that holds an outcome adds to these rows, so they are exact, also after a crash.
2. An hour has at most `MOST_DOMAINS` domains of one account; recipients at others count under `OTHER`.
3. They stay when their account is removed: the engine sent that mail.
4. Retention adds the hours that are older than `HOURLY` up to days (UTC), and removes what is older than `KEPT`.

Times are in seconds since 1970, hours are counted from 1970. `outcome` is a word of `events/delivery_counts.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from engine.store.writer import Tx

MOST_DOMAINS = 100
OTHER = ""
"""The domain of the recipients beyond that."""
HOUR, DAY = 3600, 86_400
HOURLY, KEPT = 8 * DAY, 92 * DAY
STEP_ROWS = 100
"""Rows that one step of `compact` changes."""
LATEST_ROWS = 100_000
"""Rows that `busiest` reads at most."""

Counts = Mapping[tuple[str, str], int]
"""By domain and outcome."""


def add(tx: Tx, hour: int, account: str, counts: Counts) -> None:
    """Add to the numbers of an account in this hour."""
    tx.executemany(
        "INSERT INTO delivery_figure (hour, account, domain, outcome, n) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (hour, account, domain, outcome) DO UPDATE SET n = n + excluded.n",
        [(hour, account, domain, outcome, n) for (domain, outcome), n in counts.items()],
    )


def domains(db: sqlite3.Connection | Tx, hour: int, account: str) -> set[str]:
    """The domains of an account in this hour."""
    rows = db.execute("SELECT DISTINCT domain FROM delivery_figure WHERE hour = ? AND account = ?", (hour, account))
    return {each for (each,) in rows}


def read(
    db: sqlite3.Connection, start: int, end: int, account: str | None = None, domain: str | None = None
) -> list[tuple[str, str, str, int]]:
    """(account, domain, outcome, number) of the hours from `start` up to, but not including, `end`, added up."""
    where, arguments = "hour >= ? AND hour < ?", list[object]([start, end])
    if account is not None:
        # The hours one by one, so that the rows of other accounts are not read.
        hours = _hours(db, start, end)
        where, arguments = f"hour IN ({', '.join('?' * len(hours))}) AND account = ?", [*hours, account]
    if domain is not None:
        where += " AND domain = ?"
        arguments.append(domain)
    return db.execute(
        f"SELECT account, domain, outcome, sum(n) FROM delivery_figure WHERE {where} GROUP BY account, domain, outcome",
        arguments,
    ).fetchall()


def busiest(db: sqlite3.Connection, since: int, column: str, most: int) -> list[str]:
    """The accounts or domains (`column`) with the largest numbers since this hour, the largest first."""
    rows = db.execute(
        f"SELECT name FROM (SELECT {column} AS name, n FROM delivery_figure WHERE hour >= ? "
        "ORDER BY hour DESC LIMIT ?) WHERE name != '' GROUP BY name ORDER BY sum(n) DESC, name LIMIT ?",
        (since, LATEST_ROWS, most),
    )
    return [each for (each,) in rows]


def compact(tx: Tx, now: float) -> int:
    """Add up some of the hours that are over for long, remove what is too old; return how many rows were changed."""
    old = int(now - KEPT) // HOUR
    rows = tx.execute(
        "SELECT hour, account, domain, outcome, n FROM delivery_figure WHERE hour < ? ORDER BY hour LIMIT ?",
        (old, STEP_ROWS),
    ).fetchall()
    if not rows:
        rows = _hourly(tx, int(now - HOURLY) // HOUR)
        for hour, account, domain, outcome, n in rows:
            add(tx, hour - hour % 24, account, {(domain, outcome): n})
    tx.executemany(
        "DELETE FROM delivery_figure WHERE hour = ? AND account = ? AND domain = ? AND outcome = ?",
        [row[:4] for row in rows],
    )
    return len(rows)


def _hourly(tx: Tx, before: int) -> list[tuple[int, str, str, str, int]]:
    """Rows of hours before this one that are not the first of a day, which stands for the day."""
    hours = [hour for hour in _hours(tx, 0, before) if hour % 24]
    if not hours:
        return []
    return tx.execute(
        "SELECT hour, account, domain, outcome, n FROM delivery_figure WHERE hour = ? LIMIT ?", (hours[0], STEP_ROWS)
    ).fetchall()


def _hours(db: sqlite3.Connection | Tx, start: int, end: int) -> list[int]:
    """The hours that have rows, found by one look into the index for each: at most some hundreds."""
    found, hour = list[int](), start - 1
    while True:
        (hour,) = db.execute("SELECT min(hour) FROM delivery_figure WHERE hour > ?", (hour,)).fetchone()
        if hour is None or hour >= end:
            return found
        found.append(hour)
