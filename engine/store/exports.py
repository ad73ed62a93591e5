"""The exports of all accounts: what was requested and how far each has come; their files are kept apart."""

from __future__ import annotations

import sqlite3

import msgspec

from engine.model.export import OPEN, Export, ExportStatus, Progress, Wanted
from engine.store.writer import Tx

_COLUMNS = "id, account, status, wanted, progress, created, expires"


def add(tx: Tx, export: Export) -> None:
    """Add an export."""
    tx.execute(
        f"INSERT INTO export ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            export.id,
            export.account,
            export.status.value,
            _json(export.wanted),
            _json(export.progress),
            export.created,
            export.expires,
        ),
    )


def change(tx: Tx, export: Export) -> bool:
    """Store the progress of an export; False if it has been removed."""
    given = (export.status.value, _json(export.progress), export.expires, export.id)
    return tx.execute("UPDATE export SET status = ?, progress = ?, expires = ? WHERE id = ?", given).rowcount > 0


def remove(tx: Tx, export: str) -> bool:
    """Remove an export; False if there is none."""
    return tx.execute("DELETE FROM export WHERE id = ?", (export,)).rowcount > 0


def get(db: sqlite3.Connection, export: str) -> Export | None:
    """The export with this id."""
    row = db.execute(f"SELECT {_COLUMNS} FROM export WHERE id = ?", (export,)).fetchone()
    return _read(row) if row is not None else None


def of_account(db: sqlite3.Connection, account: str) -> list[Export]:
    """An account's exports, newest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM export WHERE account = ? ORDER BY created DESC, id", (account,))
    return [_read(row) for row in rows]


def unfinished(db: sqlite3.Connection) -> list[Export]:
    """The exports that have not ended, oldest first."""
    statuses = tuple(status.value for status in OPEN)
    rows = db.execute(f"SELECT {_COLUMNS} FROM export WHERE status IN (?, ?) ORDER BY created, id", statuses)
    return [_read(row) for row in rows]


def expired(db: sqlite3.Connection, now: float) -> list[str]:
    """The ids of the ended exports that have expired."""
    statuses = tuple(status.value for status in OPEN)
    rows = db.execute("SELECT id FROM export WHERE expires <= ? AND status NOT IN (?, ?)", (now, *statuses))
    return [export for (export,) in rows]


def ids(db: sqlite3.Connection) -> set[str]:
    """The ids of all exports."""
    return {export for (export,) in db.execute("SELECT id FROM export")}


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _read(row: tuple[str, str, str, str, str, float, float]) -> Export:
    export, account, status, wanted, progress, created, expires = row
    return Export(
        id=export,
        account=account,
        status=ExportStatus(status),
        wanted=msgspec.json.decode(wanted, type=Wanted),
        progress=msgspec.json.decode(progress, type=Progress),
        created=created,
        expires=expires,
    )
