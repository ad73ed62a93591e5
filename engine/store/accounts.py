"""Account rows: the registration as JSON with its secrets sealed, and what the engine remembers about the account."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from engine.store.writer import Tx


class AccountRow(msgspec.Struct, kw_only=True):
    """One account as it is stored. Times in seconds since 1970.

    * `initialized`: its first sync has ended.
    * `last_error`: the error last announced, None if there is none.
    * `smtp_status`: how the last SMTP attempt ended, None before the first.
    * `sending`: whether its SMTP server lets it send, None if not known.
    * `queue_paused`: its mail is paused.
    * `files_sent`: its provider has been seen to file sent mail itself.
    * `refused_since`: since when its IMAP server has refused the login with the same reply, None if it does not.
    * `restricted`: which of its servers (`imap`, `smtp`) were set with a token for this account alone.
    * `heartbeat`: the learnt number of idle seconds after which its connections are probed, and until when it holds.
    """

    id: str
    record: bytes
    created: float
    initialized: bool = False
    last_error: dict[str, Any] | None = None
    smtp_status: dict[str, Any] | None = None
    sync_time: float | None = None
    queue_paused: bool = False
    files_sent: bool = False
    refused_since: float | None = None
    restricted: frozenset[str] = frozenset()
    heartbeat: float | None = None
    heartbeat_until: float | None = None
    sending: dict[str, Any] | None = None


_COLUMNS = (
    "id, record, created, initialized, last_error, smtp_status, sync_time, queue_paused, files_sent, refused_since, "
    "restricted, heartbeat, heartbeat_until, sending"
)
_JSON = ("last_error", "smtp_status", "sending")


def get(db: sqlite3.Connection | Tx, account: str) -> AccountRow | None:
    """The account with this id."""
    row = db.execute(f"SELECT {_COLUMNS} FROM account WHERE id = ?", (account,)).fetchone()
    return _row(row) if row else None


def exists(tx: Tx, account: str) -> bool:
    """Whether the account exists in this transaction."""
    return tx.execute("SELECT 1 FROM account WHERE id = ?", (account,)).fetchone() is not None


def every(db: sqlite3.Connection) -> list[AccountRow]:
    """All accounts, oldest first."""
    return [_row(row) for row in db.execute(f"SELECT {_COLUMNS} FROM account ORDER BY created, id")]


def ids(db: sqlite3.Connection) -> list[str]:
    """The ids of all accounts, oldest first."""
    return [account for (account,) in db.execute("SELECT id FROM account ORDER BY created, id")]


def in_sandbox(db: sqlite3.Connection) -> set[str]:
    """The ids of the accounts whose servers are inside the engine, whether or not the rest can be read."""
    text = "CAST(record AS TEXT)"
    rows = db.execute(
        f"SELECT id FROM account WHERE instr({text}, '\"sandbox\"') "
        f"AND CASE WHEN json_valid({text}) THEN json_extract({text}, '$.sandbox') = 1 END"
    )
    return {account for (account,) in rows}


def save(tx: Tx, account: str, record: bytes, now: float, restricted: frozenset[str] = frozenset()) -> None:
    """Add the account, or replace its registration and clear the error of the old one."""
    tx.execute(
        "INSERT INTO account (id, record, created, restricted) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
        "SET record = excluded.record, restricted = excluded.restricted, last_error = NULL, refused_since = NULL",
        (account, record, now, " ".join(sorted(restricted))),
    )


def remember(tx: Tx, account: str, **values: Any) -> None:
    """Set columns of an account: `last_error`, `smtp_status`, `sending` (JSON values), `initialized` ..."""
    for name, value in values.items():
        if name in _JSON and value is not None:
            value = msgspec.json.encode(value)
        tx.execute(f"UPDATE account SET {name} = ? WHERE id = ?", (value, account))


def files_sent(tx: Tx, account: str) -> bool:
    """Whether the account's provider has been seen to file sent mail itself."""
    row = tx.execute("SELECT files_sent FROM account WHERE id = ?", (account,)).fetchone()
    return row is not None and bool(row[0])


def remove(tx: Tx, account: str) -> None:
    """Remove the account; triggers remove the rows that belong to it.

    Its events and the records of its messages stay until retention removes them. End the messages first.
    """
    tx.execute("DELETE FROM account WHERE id = ?", (account,))


def _row(row: tuple[Any, ...]) -> AccountRow:
    return AccountRow(
        id=row[0],
        record=row[1],
        created=row[2],
        initialized=bool(row[3]),
        last_error=_members(row[4]),
        smtp_status=_members(row[5]),
        sync_time=row[6],
        queue_paused=bool(row[7]),
        files_sent=bool(row[8]),
        refused_since=row[9],
        restricted=frozenset(row[10].split()),
        heartbeat=row[11],
        heartbeat_until=row[12],
        sending=_members(row[13]),
    )


def _members(stored: bytes | None) -> dict[str, Any] | None:
    """The stored value; None if it cannot be read, since it is only shown."""
    try:
        return msgspec.json.decode(stored, type=dict[str, Any]) if stored else None
    except (msgspec.DecodeError, TypeError):
        return None
