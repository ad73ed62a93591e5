"""What is known of every watched mailbox: its position, and UID and flags of its messages. Enough to see a change.

A row's id is part of message ids, so it is never used again: a mailbox whose UIDs became void gets a new row. What a
dropped row knew of its messages is swept away afterwards in small commits (`sweep`), since a mailbox may hold a
million of them. A mailbox that is not listed any more keeps its row for a while (`mark_gone`): servers forget a mailbox
for a moment, and one that comes back goes on where it was.
"""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.store.writer import Tx


class MailboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One mailbox. `uid_validity` None: never opened.

    `uid_next`: messages below it are known, or were announced; None until the first look at it has ended. `modseq`:
    changes up to it are known; None where the server keeps none. `silent`: the first look announces nothing.
    `delimiter` separates the levels of its path. Not `watched`: it only gives a number to the ids of its messages.
    """

    id: int
    account: str
    path: str
    special_use: str | None
    uid_validity: int | None
    uid_next: int | None
    modseq: int | None
    silent: bool
    delimiter: str | None = None
    watched: bool = True


_COLUMNS = "id, account, path, special_use, uid_validity, uid_next, modseq, silent, delimiter, watched"


def of_account(db: sqlite3.Connection | Tx, account: str, *, unwatched: bool = False) -> list[MailboxRow]:
    """Every mailbox of an account that is watched, but for those that are gone; with `unwatched` the others too."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM mailbox WHERE account = ? AND gone_at IS NULL AND (watched OR ?) ORDER BY id",
        (account, unwatched),
    )
    return [_row(row) for row in rows]


def at_path(db: sqlite3.Connection | Tx, account: str, path: str) -> MailboxRow | None:
    """The mailbox of an account at a path, watched or not, unless it is gone."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM mailbox WHERE account = ? AND path = ? AND gone_at IS NULL", (account, path)
    ).fetchone()
    return _row(row) if row else None


def gone_at_path(db: sqlite3.Connection | Tx, account: str, path: str) -> MailboxRow | None:
    """The mailbox of an account that is gone from a path, where its row is kept."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM mailbox WHERE account = ? AND path = ? AND gone_at IS NOT NULL", (account, path)
    ).fetchone()
    return _row(row) if row else None


def gone(db: sqlite3.Connection | Tx, account: str, before: float = math.inf) -> list[MailboxRow]:
    """The mailboxes of an account that are gone, since before that time, and whose rows are kept."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM mailbox WHERE account = ? AND gone_at < ? AND watched", (account, before)
    )
    return [_row(row) for row in rows]


def get(db: sqlite3.Connection | Tx, mailbox: int) -> MailboxRow | None:
    """The mailbox with this id."""
    row = db.execute(f"SELECT {_COLUMNS} FROM mailbox WHERE id = ?", (mailbox,)).fetchone()
    return _row(row) if row else None


def of_id(db: sqlite3.Connection | Tx, account: str, mailbox: int) -> MailboxRow | None:
    """The mailbox with this id, if it is one of this account's and is not gone."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM mailbox WHERE id = ? AND account = ? AND gone_at IS NULL", (mailbox, account)
    ).fetchone()
    return _row(row) if row else None


def exists(tx: Tx, mailbox: int) -> bool:
    """Whether the mailbox is still there, as the transaction at hand sees it."""
    return tx.execute("SELECT 1 FROM mailbox WHERE id = ?", (mailbox,)).fetchone() is not None


def add(
    tx: Tx,
    account: str,
    path: str,
    special_use: str | None,
    *,
    uid_validity: int | None = None,
    silent: bool = False,
) -> int:
    """Watch a mailbox nothing is known of; its id. One that had ids for its messages only keeps its own."""
    before = at_path(tx, account, path)
    if before is not None and not before.watched:
        tx.execute("UPDATE mailbox SET watched = 1, special_use = ? WHERE id = ?", (special_use, before.id))
        return before.id
    row = tx.execute(
        "INSERT INTO mailbox (account, path, special_use, uid_validity, silent) VALUES (?, ?, ?, ?, ?)",
        (account, path, special_use, uid_validity, silent),
    )
    assert row.lastrowid is not None
    return row.lastrowid


def add_for_ids(
    tx: Tx, account: str, path: str, special_use: str | None, uid_validity: int | None, delimiter: str | None
) -> int:
    """Have a number for the ids of the messages of a mailbox that is not watched; the number."""
    before = at_path(tx, account, path)
    if before is not None:
        return before.id
    if (left := gone_at_path(tx, account, path)) is not None:
        drop(tx, left.id)
    row = tx.execute(
        "INSERT INTO mailbox (account, path, special_use, uid_validity, delimiter, watched) VALUES (?, ?, ?, ?, ?, 0)",
        (account, path, special_use, uid_validity, delimiter),
    )
    assert row.lastrowid is not None
    return row.lastrowid


def mark_gone(tx: Tx, mailbox: int, at: float | None) -> bool:
    """A mailbox is not listed any more since `at`; None: it is again. Whether that is news."""
    gone = "gone_at IS NOT NULL" if at is None else "gone_at IS NULL"
    return tx.execute(f"UPDATE mailbox SET gone_at = ? WHERE id = ? AND {gone}", (at, mailbox)).rowcount > 0


def mark_delimiter(tx: Tx, mailbox: int, delimiter: str | None) -> None:
    """Remember what separates the levels of a mailbox's path."""
    tx.execute("UPDATE mailbox SET delimiter = ? WHERE id = ?", (delimiter, mailbox))


def rename(tx: Tx, mailbox: int, path: str) -> None:
    """The same mailbox is called otherwise now."""
    tx.execute("UPDATE mailbox SET path = ? WHERE id = ?", (path, mailbox))


def drop(tx: Tx, mailbox: int) -> None:
    """Forget a mailbox; its messages go with `sweep`."""
    tx.execute("DELETE FROM mailbox WHERE id = ?", (mailbox,))


def drop_account(tx: Tx, account: str) -> None:
    """Forget all mailboxes of an account; their messages go with `sweep`."""
    tx.execute("DELETE FROM mailbox WHERE account = ?", (account,))


def sweep(tx: Tx, limit: int) -> bool:
    """Remove at most `limit` messages of mailboxes that are gone; whether there may be more."""
    row = tx.execute("SELECT id FROM mailbox_gone LIMIT 1").fetchone()
    if row is None:
        return False
    uids = tx.execute("SELECT uid FROM mailbox_message WHERE mailbox = ? LIMIT ?", (row[0], limit)).fetchall()
    tx.executemany("DELETE FROM mailbox_message WHERE mailbox = ? AND uid = ?", [(row[0], uid) for (uid,) in uids])
    if len(uids) < limit:
        tx.execute("DELETE FROM mailbox_gone WHERE id = ?", (row[0],))
    return True


def mark_use(tx: Tx, mailbox: int, special_use: str | None) -> None:
    """Remember what a mailbox is used for now."""
    tx.execute("UPDATE mailbox SET special_use = ? WHERE id = ?", (special_use, mailbox))


def set_position(tx: Tx, mailbox: int, uid_validity: int, uid_next: int, modseq: int | None) -> None:
    """Everything below `uid_next` and up to `modseq` is known."""
    tx.execute(
        "UPDATE mailbox SET uid_validity = ?, uid_next = ?, modseq = ? WHERE id = ?",
        (uid_validity, uid_next, modseq, mailbox),
    )


def set_modseq(tx: Tx, mailbox: int, modseq: int | None) -> None:
    """Changes up to `modseq` are known."""
    tx.execute("UPDATE mailbox SET modseq = ? WHERE id = ?", (modseq, mailbox))


def advance(tx: Tx, mailbox: int, uid: int) -> int | None:
    """Messages up to `uid` are being announced; the first of them that may be.

    None if all were announced before, or the mailbox is gone: then none of them may be.
    """
    row = tx.execute("SELECT uid_next FROM mailbox WHERE id = ? AND uid_next <= ?", (mailbox, uid)).fetchone()
    if row is None:
        return None
    tx.execute("UPDATE mailbox SET uid_next = ? WHERE id = ?", (uid + 1, mailbox))
    return int(row[0])


def note(tx: Tx, mailbox: int, messages: Iterable[tuple[int, frozenset[str]]]) -> None:
    """Remember UID and flags of messages, unless the mailbox is gone."""
    if not exists(tx, mailbox):
        return
    tx.executemany(
        "INSERT OR REPLACE INTO mailbox_message (mailbox, uid, flags) VALUES (?, ?, ?)",
        [(mailbox, uid, _written(flags)) for uid, flags in messages],
    )


def change_flags(tx: Tx, mailbox: int, uid: int, flags: frozenset[str]) -> frozenset[str] | None:
    """Give a message these flags; those it had if they were others, None if nothing changed or it is not known."""
    row = tx.execute("SELECT flags FROM mailbox_message WHERE mailbox = ? AND uid = ?", (mailbox, uid)).fetchone()
    new = _written(flags)
    if row is None or row[0] == new:
        return None
    tx.execute("UPDATE mailbox_message SET flags = ? WHERE mailbox = ? AND uid = ?", (new, mailbox, uid))
    return frozenset(row[0].split())


def flags(db: sqlite3.Connection | Tx, mailbox: int, uid: int) -> frozenset[str] | None:
    """The flags a message is known to have, None if it is not known."""
    row = db.execute("SELECT flags FROM mailbox_message WHERE mailbox = ? AND uid = ?", (mailbox, uid)).fetchone()
    return None if row is None else frozenset(row[0].split())


def remove(tx: Tx, mailbox: int, uid: int) -> bool:
    """Forget a message; whether it was known."""
    return tx.execute("DELETE FROM mailbox_message WHERE mailbox = ? AND uid = ?", (mailbox, uid)).rowcount > 0


def count(db: sqlite3.Connection, mailbox: int) -> int:
    """How many messages are known."""
    return int(db.execute("SELECT count(*) FROM mailbox_message WHERE mailbox = ?", (mailbox,)).fetchone()[0])


def uids(db: sqlite3.Connection, mailbox: int, spans: Sequence[tuple[int, int]] = ((1, 2**63 - 1),)) -> array[int]:
    """The UIDs known within these ranges, rising within each."""
    found = array("Q")
    for first, last in spans:
        rows = db.execute(
            "SELECT uid FROM mailbox_message WHERE mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid",
            (mailbox, first, last),
        )
        found.extend(uid for (uid,) in rows)
    return found


def count_failure(tx: Tx, mailbox: int, uid: int, question: str, failures: int = 1) -> None:
    """Asking `question` of a message ended the connection once more."""
    tx.execute(
        "INSERT INTO mailbox_unreadable (mailbox, uid, question, failures) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET failures = failures + excluded.failures",
        (mailbox, uid, question, failures),
    )


def failures(db: sqlite3.Connection, mailbox: int) -> dict[tuple[int, str], int]:
    """How often a question about a message of this mailbox ended the connection, by UID and question."""
    rows = db.execute("SELECT uid, question, failures FROM mailbox_unreadable WHERE mailbox = ?", (mailbox,))
    return {(uid, question): failures for uid, question, failures in rows}


def _written(flags: frozenset[str]) -> str:
    return " ".join(sorted(flags))


def _row(row: tuple[Any, ...]) -> MailboxRow:
    return MailboxRow(
        id=row[0],
        account=row[1],
        path=row[2],
        special_use=row[3],
        uid_validity=row[4],
        uid_next=row[5],
        modseq=row[6],
        silent=bool(row[7]),
        delimiter=row[8],
        watched=bool(row[9]),
    )
