"""Changes that requests have begun at the mail server and whose result is not stored yet.

They are stored before the command is sent, and removed in the commit that stores the result. Of messages that were not
announced by then, they stay for some minutes. What is left after a crash may have been made: when it is observed, it
still counts as the request's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from engine.store.writer import Tx


class Unfinished(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request may have changed. `spans` are the UIDs of messages in `mailbox`, as inclusive ranges.

    `concerned` are the flags (lower case), or the messages themselves; None: any. `into` is the mailbox that messages
    with these Message-IDs are put into. `paths` are those of folders.
    """

    mailbox: int | None = None
    spans: tuple[tuple[int, int], ...] = ()
    concerned: tuple[str, ...] | None = None
    into: int | None = None
    message_ids: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def add(tx: Tx, account: str, change: Unfinished) -> int:
    """Store a change that is about to be requested; return its number."""
    statement = "INSERT INTO unfinished_change (account, change) VALUES (?, ?) RETURNING id"
    return int(tx.execute(statement, (account, _written(change))).fetchone()[0])


def replace(tx: Tx, number: int, change: Unfinished) -> None:
    """Leave only this of a change."""
    tx.execute("UPDATE unfinished_change SET change = ? WHERE id = ?", (_written(change), number))


def remove(tx: Tx, numbers: Iterable[int]) -> None:
    """Remove changes whose result is stored or no longer matters."""
    tx.executemany("DELETE FROM unfinished_change WHERE id = ?", [(number,) for number in numbers])


def of_account(db: sqlite3.Connection, account: str) -> dict[int, Unfinished | None]:
    """Those of an account by number; None for one that cannot be read."""
    rows = db.execute("SELECT id, change FROM unfinished_change WHERE account = ? ORDER BY id", (account,))
    return {number: _read(change) for number, change in rows}


def _written(change: Unfinished) -> str:
    return msgspec.json.encode(change).decode()


def _read(change: object) -> Unfinished | None:
    try:
        return msgspec.json.decode(change, type=Unfinished) if isinstance(change, str) else None
    except msgspec.MsgspecError:
        return None
