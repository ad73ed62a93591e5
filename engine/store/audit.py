"""The audit record: who changed which account, setting, token or webhook endpoint, when and from where.

A row names the token by its public id, or says `cli` for a command and `form` for a person who connected a mailbox. It
holds names and ids but no values, so it cannot contain a secret.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from engine.store.writer import Tx

CLI = "cli"
FORM = "form"
_COLUMNS = "time, token, address, operation, object"


class Entry(msgspec.Struct, frozen=True):
    """One change. `time` is in seconds since 1970, `token` its public id, `address` None for a command.

    `operation` is a noun and a verb (`account.update`); `object` names what was changed.
    """

    time: float
    token: str
    address: str | None
    operation: str
    object: str


class AuditFilter(msgspec.Struct, frozen=True):
    """Which entries to list; None matches all. `operation` may be the noun alone."""

    token: str | None = None
    operation: str | None = None
    object: str | None = None
    since: float | None = None


def add(db: sqlite3.Connection | Tx, entry: Entry) -> None:
    """Write one entry."""
    db.execute(f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", msgspec.structs.astuple(entry))


def count(db: sqlite3.Connection, wanted: AuditFilter) -> int:
    """How many entries match."""
    where, arguments = _where(wanted)
    (number,) = db.execute(f"SELECT count(*) FROM audit {where}", arguments).fetchone()
    return int(number)


def entries(db: sqlite3.Connection, wanted: AuditFilter, limit: int = -1, offset: int = 0) -> Iterator[Entry]:
    """The matching entries, newest first."""
    where, arguments = _where(wanted)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM audit {where} ORDER BY id DESC LIMIT ? OFFSET ?", (*arguments, limit, offset)
    )
    return (Entry(*row) for row in rows)


def _where(wanted: AuditFilter) -> tuple[str, Sequence[object]]:
    terms, arguments = [], []
    for term, value in (
        ("token = ?", wanted.token),
        ("object = ?", wanted.object),
        ("time >= ?", wanted.since),
    ):
        if value is not None:
            terms.append(term)
            arguments.append(value)
    if wanted.operation is not None:
        terms.append("(operation = ? OR substr(operation, 1, ?) = ?)")
        noun = f"{wanted.operation}."
        arguments += [wanted.operation, len(noun), noun]
    return (f"WHERE {' AND '.join(terms)}" if terms else ""), arguments
