"""The event table: bodies by their gapless numbers, and a count for each account and event name."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from engine.store.writer import Tx

MOST_COUNTED = 100_000
"""Maximum number of events examined for a count."""


def insert(tx: Tx, account: str | None, name: str, numbered: Sequence[tuple[int, bytes]], now: float) -> None:
    """Add events of one account and name; each number must be `tx.next_seq()`."""
    tx.executemany(
        "INSERT INTO event (seq, account, name, body, created) VALUES (?, ?, ?, ?, ?)",
        [(seq, account, name, body, now) for seq, body in numbered],
    )
    if account is not None:
        tx.execute(
            "INSERT INTO event_count (account, name, n) VALUES (?, ?, ?) "
            "ON CONFLICT (account, name) DO UPDATE SET n = n + excluded.n",
            (account, name, len(numbered)),
        )


def after(
    db: sqlite3.Connection, seq: int, limit: int, account: str | None = None, names: Collection[str] | None = None
) -> list[tuple[int, str, bytes]]:
    """At most `limit` events numbered above `seq`, as (seq, name, body), for one account or some names if given."""
    where = "seq > ?"
    arguments: list[object] = [seq]
    if account is not None:
        where += " AND account = ?"
        arguments.append(account)
    if names is not None:
        where += f" AND name IN ({', '.join('?' * len(names))})"
        arguments.extend(names)
    return db.execute(
        f"SELECT seq, name, body FROM event WHERE {where} ORDER BY seq LIMIT ?", (*arguments, limit)
    ).fetchall()


def window(
    db: sqlite3.Connection,
    seq: int,
    upto: int,
    limit: int,
    max_bytes: int,
    account: str | None = None,
    names: Collection[str] | None = None,
) -> list[tuple[int, str | None, str, bytes]]:
    """At most `limit` events numbered above `seq` up to `upto`, as (seq, account, name, body).

    The list ends early with the event whose body takes the total over `max_bytes` octets.
    """
    return _window(db, ("seq > ? AND seq <= ?", "seq", seq, upto), limit, max_bytes, account, names)


def window_before(
    db: sqlite3.Connection,
    before: int,
    start: int,
    limit: int,
    max_bytes: int,
    account: str | None = None,
    names: Collection[str] | None = None,
) -> list[tuple[int, str | None, str, bytes]]:
    """The same for those numbered below `before`, from `start` on, newest first."""
    return _window(db, ("seq < ? AND seq >= ?", "seq DESC", before, start), limit, max_bytes, account, names)


def _window(
    db: sqlite3.Connection,
    span: tuple[str, str, int, int],
    limit: int,
    max_bytes: int,
    account: str | None,
    names: Collection[str] | None,
) -> list[tuple[int, str | None, str, bytes]]:
    where, order, *bounds_ = span
    arguments: list[object] = [*bounds_]
    if account is not None:
        where += " AND account = ?"
        arguments.append(account)
    if names is not None:
        where += f" AND name IN ({', '.join('?' * len(names))})"
        arguments.extend(names)
    found: list[tuple[int, str | None, str, bytes]] = []
    size = 0
    rows = db.execute(
        f"SELECT seq, account, name, body FROM event WHERE {where} ORDER BY {order} LIMIT ?", (*arguments, limit)
    )
    for row in rows:
        found.append(row)
        size += len(row[3])
        if size > max_bytes:
            break
    rows.close()
    return found


def of_account(
    db: sqlite3.Connection,
    account: str | None,
    seq: int,
    upto: int,
    limit: int,
    names: Collection[str] | None = None,
) -> list[tuple[int, str | None, str, bytes]]:
    """At most `limit` events of one account (None: the engine's own) numbered above `seq` up to `upto`."""
    where = "account IS ? AND seq > ? AND seq <= ?"
    arguments: list[object] = [account, seq, upto]
    if names is not None:
        where += f" AND name IN ({', '.join('?' * len(names))})"
        arguments.extend(names)
    return db.execute(
        f"SELECT seq, account, name, body FROM event WHERE {where} ORDER BY seq LIMIT ?", (*arguments, limit)
    ).fetchall()


def newest(db: sqlite3.Connection, account: str, upto: int) -> int:
    """The number of an account's newest event up to `upto`; 0 if there is none."""
    row = db.execute("SELECT max(seq) FROM event WHERE account = ? AND seq <= ?", (account, upto)).fetchone()
    return int(row[0] or 0)


def following(db: sqlite3.Connection, account: str, seq: int) -> int | None:
    """The number of an account's first event above `seq`; None if there is none."""
    row = db.execute("SELECT min(seq) FROM event WHERE account = ? AND seq > ?", (account, seq)).fetchone()
    return None if row[0] is None else int(row[0])


def created_after(db: sqlite3.Connection, seq: int) -> float | None:
    """When the first event numbered above `seq` happened (seconds since 1970); None if there is none."""
    row = db.execute("SELECT created FROM event WHERE seq > ? ORDER BY seq LIMIT 1", (seq,)).fetchone()
    return None if row is None else float(row[0])


def remove(tx: Tx, upto: int) -> None:
    """Remove the oldest events, up to and including this number."""
    tx.execute("DELETE FROM event WHERE seq <= ?", (upto,))
    tx.first_seq = upto + 1


def since(db: sqlite3.Connection, moment: float) -> int:
    """The number before the first event that happened at or after `moment` (seconds since 1970).

    A binary search, since times rise with the numbers; if the clock was set back, the result is approximate.
    """
    low, high = bounds(db)
    if not high:
        return 0
    while low <= high:
        middle = (low + high) // 2
        row = db.execute("SELECT created FROM event WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)).fetchone()
        if row is not None and row[0] < moment:
            low = middle + 1
        else:
            high = middle - 1
    return low - 1


def bounds(db: sqlite3.Connection) -> tuple[int, int]:
    """The first and last number in the journal; (0, 0) if it is empty."""
    # Two subqueries: SQLite answers each from the end of the index, but scans the table for min and max together.
    first, last = db.execute("SELECT (SELECT min(seq) FROM event), (SELECT max(seq) FROM event)").fetchone()
    return first or 0, last or 0


def latest(db: sqlite3.Connection) -> float:
    """When the newest event happened (seconds since 1970); 0 if there is none."""
    row = db.execute("SELECT created FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    return float(row[0]) if row else 0.0


def counts(db: sqlite3.Connection, account: str) -> dict[str, int]:
    """How many events of each name this account has had."""
    return dict(db.execute("SELECT name, n FROM event_count WHERE account = ?", (account,)).fetchall())


def counts_since(db: sqlite3.Connection, since: float) -> dict[str, int]:
    """How many events of each name were raised since then (seconds since 1970), of at most the newest `MOST_COUNTED`.

    A binary search, since times rise with the numbers unless the clock was set back.
    """
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
    low, high = max(0, last - MOST_COUNTED), last
    while low < high:
        middle = (low + high) // 2
        row = db.execute("SELECT created FROM event WHERE seq > ? ORDER BY seq LIMIT 1", (middle,)).fetchone()
        if row is None or row[0] >= since:
            high = middle
        else:
            low = middle + 1
    return dict(db.execute("SELECT name, count(*) FROM event WHERE seq > ? GROUP BY name", (low,)).fetchall())


def counts_between(db: sqlite3.Connection, after: int, upto: int) -> dict[str, int]:
    """How many events of each name are numbered above `after`, up to `upto`."""
    rows = db.execute("SELECT name, count(*) FROM event WHERE seq > ? AND seq <= ? GROUP BY name", (after, upto))
    return dict(rows.fetchall())
