"""What is rehearsed with sandbox accounts, as rows: steps of scripts, and time that was moved forward.

`pass_time` is the one place that says what moves with an account's time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from engine.store.writer import Tx

KEPT_REQUESTS = 100
"""Idempotency keys of one account."""

Db = sqlite3.Connection | Tx


class StoredStep(NamedTuple):
    """One step; `step` is JSON."""

    account: str
    id: str
    step: bytes


class MovedTime(NamedTuple):
    """Seconds that have still to pass for an account, and that have passed so in all."""

    ahead: float = 0.0
    passed: float = 0.0


def steps(db: Db) -> list[StoredStep]:
    """The steps of all accounts, each account's in order."""
    rows = db.execute("SELECT account, id, step FROM sandbox_step ORDER BY account, place")
    return [StoredStep(*row) for row in rows]


def count_steps(tx: Tx, account: str) -> int:
    """How many steps an account has."""
    return int(tx.execute("SELECT count(*) FROM sandbox_step WHERE account = ?", (account,)).fetchone()[0])


def add_steps(tx: Tx, added: Iterable[StoredStep]) -> None:
    """Add steps behind those of their account."""
    for each in added:
        tx.execute(
            "INSERT INTO sandbox_step (account, id, step, place) "
            "SELECT ?1, ?2, ?3, coalesce(max(place), 0) + 1 FROM sandbox_step WHERE account = ?1",
            each,
        )


def change_step(tx: Tx, changed: StoredStep) -> None:
    """Store the state of a step, unless it was removed."""
    tx.execute(
        "UPDATE sandbox_step SET step = ? WHERE account = ? AND id = ?", (changed.step, changed.account, changed.id)
    )


def remove_step(tx: Tx, account: str, step: str) -> None:
    """Remove a step."""
    tx.execute("DELETE FROM sandbox_step WHERE account = ? AND id = ?", (account, step))


def remove_steps(tx: Tx, account: str) -> None:
    """Remove all steps of an account."""
    tx.execute("DELETE FROM sandbox_step WHERE account = ?", (account,))


def moved_time(db: Db, account: str) -> MovedTime:
    """How far the account's time was moved."""
    row = db.execute("SELECT ahead, passed FROM sandbox_time WHERE account = ?", (account,)).fetchone()
    return MovedTime() if row is None else MovedTime(*row)


def accounts_with_time_ahead(db: Db) -> list[str]:
    """Accounts for which time has still to pass."""
    return [account for (account,) in db.execute("SELECT account FROM sandbox_time WHERE ahead > 0 ORDER BY account")]


def move_time(tx: Tx, account: str, seconds: float, now: float) -> None:
    """Let more time pass for an account; it has still to be carried out."""
    tx.execute(
        "INSERT INTO sandbox_time (account, ahead, passed, at) VALUES (?, ?, 0, ?) "
        "ON CONFLICT (account) DO UPDATE SET ahead = ahead + excluded.ahead",
        (account, seconds, now),
    )


def stop_time(tx: Tx, account: str) -> None:
    """Let no more time pass than has passed."""
    tx.execute("UPDATE sandbox_time SET ahead = 0 WHERE account = ?", (account,))


def pass_time(tx: Tx, account: str, seconds: float, now: float) -> None:
    """Bring everything of an account that waits for a moment nearer by so many seconds.

    Mail that goes through a gateway stays, since a gateway is no part of the sandbox.
    """
    tx.execute(
        "UPDATE sandbox_time SET ahead = max(0, ahead - ?1), passed = passed + ?1, at = ?2 WHERE account = ?3",
        (seconds, now, account),
    )
    tx.execute(
        "UPDATE message SET send_at = send_at - ?1, next_at = next_at - ?1, doubt_since = doubt_since - ?1, "
        "expires_at = expires_at - ?1 WHERE account = ?2 AND ended IS NULL AND gateway IS NULL",
        (seconds, account),
    )
    for table in ("sent_copy", "follow_up"):
        tx.execute(
            f"UPDATE {table} SET next_at = next_at - ? WHERE account = ? "
            "AND message IN (SELECT id FROM message WHERE gateway IS NULL)",
            (seconds, account),
        )
    for table in ("quota_use", "quota_closed"):
        tx.execute(f"UPDATE {table} SET at = at - ?1, uptime = uptime - ?1 WHERE account = ?2", (seconds, account))
    tx.execute("UPDATE suppressed SET expires = expires - ? WHERE scope = ?", (seconds, account))


def waiting_messages(db: Db, account: str) -> list[tuple[int, float, bool]]:
    """The account's own messages that are due at some time, as (row, when, whether the caller chose that time)."""
    rows = db.execute(
        "SELECT id, next_at, attempts_made = 0 FROM message WHERE account = ? AND ended IS NULL AND gateway IS NULL "
        "AND next_at IS NOT NULL AND state != 'sending' ORDER BY next_at, id",
        (account,),
    )
    return [(row, due, bool(chosen)) for row, due, chosen in rows]


def count_waiting(db: Db, account: str) -> int:
    """How many of the account's messages have not ended."""
    return int(db.execute("SELECT count(*) FROM message WHERE account = ? AND ended IS NULL", (account,)).fetchone()[0])


def request(tx: Tx, account: str, key: str) -> bytes | None:
    """The SHA-256 of the request that used this idempotency key; None: none is known to have."""
    row = tx.execute("SELECT fingerprint FROM sandbox_request WHERE account = ? AND key = ?", (account, key)).fetchone()
    return None if row is None else bytes(row[0])


def keep_request(tx: Tx, account: str, key: str, fingerprint: bytes) -> None:
    """Remember a key, and forget the oldest of the account beyond `KEPT_REQUESTS`."""
    tx.execute("INSERT INTO sandbox_request (account, key, fingerprint) VALUES (?, ?, ?)", (account, key, fingerprint))
    tx.execute(
        "DELETE FROM sandbox_request WHERE account = ?1 AND id NOT IN "
        "(SELECT id FROM sandbox_request WHERE account = ?1 ORDER BY id DESC LIMIT ?2)",
        (account, KEPT_REQUESTS),
    )
