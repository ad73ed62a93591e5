"""How mail fared, as rows: a number for each hour, account, domain of the recipients, and outcome.

1. The commit that holds an outcome adds to these rows, so they are exact, also after a crash.
2. An hour has at most `MOST_DOMAINS` domains of one account; recipients at others count under `OTHER`.
3. They stay when their account is removed: the engine sent that mail.
4. Retention adds the hours that are older than `HOURLY` up to days (UTC), and removes what is older than `KEPT`.

Times are in seconds since 1970, hours are counted from 1970. `outcome` is a word of `events/delivery_counts.py`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from engine.store import database
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


class Summary(msgspec.Struct, frozen=True):
    """Numbers by outcome: of all, and of the accounts and domains with the largest, which come first.

    `other_accounts` and `other_domains`: how many there are beside these.
    """

    total: dict[str, int]
    accounts: list[tuple[str, dict[str, int]]]
    domains: list[tuple[str, dict[str, int]]]
    other_accounts: int
    other_domains: int


def read(path: Path, span: range, account: str | None, domain: str | None, most: int) -> Summary:
    """The numbers of these hours, over a connection of its own. Raises sqlite3.Error and OSError."""
    with contextlib.closing(database.open_reader(path)) as db:
        return summary(db, span, account, domain, most)


def summary(db: sqlite3.Connection, span: range, account: str | None, domain: str | None, most: int) -> Summary:
    """The numbers of these hours, of one account or domain if given; at most `most` accounts and domains."""
    where, arguments = "hour >= ? AND hour < ?", list[object]([span.start, span.stop])
    if account is not None:
        # The hours one by one, so that the rows of other accounts are not read.
        hours = _hours(db, span.start, span.stop)
        where, arguments = f"hour IN ({', '.join('?' * len(hours))}) AND account = ?", [*hours, account]
    if domain is not None:
        where += " AND domain = ?"
        arguments.append(domain)
    source = f"FROM delivery_figure WHERE {where}"
    db.execute("BEGIN")
    try:
        total = dict(db.execute(f"SELECT outcome, sum(n) {source} GROUP BY outcome", arguments).fetchall())
        accounts, other_accounts = _largest(db, "account", source, arguments, most)
        domains, other_domains = _largest(db, "domain", source, arguments, most)
    finally:
        db.rollback()
    return Summary(total, accounts, domains, other_accounts, other_domains)


def _largest(
    db: sqlite3.Connection, column: str, source: str, arguments: Sequence[object], most: int
) -> tuple[list[tuple[str, dict[str, int]]], int]:
    (count,) = db.execute(f"SELECT count(DISTINCT {column}) {source}", arguments).fetchone()
    names = db.execute(
        f"SELECT {column} {source} GROUP BY {column} ORDER BY sum(n) DESC, {column} LIMIT ?", (*arguments, most)
    ).fetchall()
    found: dict[str, dict[str, int]] = {name: {} for (name,) in names}
    rows = db.execute(
        f"SELECT {column}, outcome, sum(n) {source} AND {column} IN ({', '.join('?' * len(found))}) "
        f"GROUP BY {column}, outcome",
        (*arguments, *found),
    )
    for name, outcome, n in rows:
        found[name][outcome] = n
    return list(found.items()), count - len(found)


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
