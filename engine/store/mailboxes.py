"""What is known about every watched mailbox, enough to notice changes: its position, its messages' UIDs and flags.

A row's id is part of message ids, so it is never reused: a mailbox whose UIDs became invalid gets a new row. The
messages of a dropped row are removed later in small commits (`sweep`), since a mailbox may hold a million. A mailbox
that is no longer listed keeps its row for a while (`mark_gone`): servers sometimes omit a mailbox briefly, and when it
returns, watching continues where it stopped.
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

    `uid_next`: messages below it are known or were announced; None until the first look has ended. `modseq`: changes up
    to it are known; None if the server does not support CONDSTORE. `silent`: the first look announces nothing.
    `delimiter` separates the levels of its path. Not `watched`: the row only provides the number in message ids.
    `mailbox_id`: the server's own id, which another path does not change (RFC 8474).
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
    mailbox_id: str | None = None


_COLUMNS = "id, account, path, special_use, uid_validity, uid_next, modseq, silent, delimiter, watched, mailbox_id"


def of_account(db: sqlite3.Connection | Tx, account: str, *, unwatched: bool = False) -> list[MailboxRow]:
    """The watched mailboxes of an account, with `unwatched` all of them; never those that are gone."""
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
    """The account's mailbox that used to be at a path and is gone, if its row still exists."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM mailbox WHERE account = ? AND path = ? AND gone_at IS NOT NULL", (account, path)
    ).fetchone()
    return _row(row) if row else None


def gone(db: sqlite3.Connection | Tx, account: str, before: float = math.inf) -> list[MailboxRow]:
    """The account's mailboxes that have been gone since before that time and whose rows still exist."""
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
    """Whether the mailbox still exists in this transaction."""
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
    """Watch a mailbox from scratch; return its id. A row that only served message ids is reused."""
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
    """Return the number for message ids of a mailbox that is not watched, adding its row if necessary."""
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
    """Note that a mailbox has not been listed since `at` (None: it is again); return whether that is new."""
    gone = "gone_at IS NOT NULL" if at is None else "gone_at IS NULL"
    return tx.execute(f"UPDATE mailbox SET gone_at = ? WHERE id = ? AND {gone}", (at, mailbox)).rowcount > 0


def mark_delimiter(tx: Tx, mailbox: int, delimiter: str | None) -> None:
    """Store the hierarchy delimiter of a mailbox's path."""
    tx.execute("UPDATE mailbox SET delimiter = ? WHERE id = ?", (delimiter, mailbox))


def mark_mailbox_id(tx: Tx, mailbox: int, mailbox_id: str) -> None:
    """Store the server's own id for a mailbox."""
    tx.execute("UPDATE mailbox SET mailbox_id = ? WHERE id = ?", (mailbox_id, mailbox))


def rename(tx: Tx, mailbox: int, path: str) -> None:
    """Give a mailbox another path."""
    tx.execute("UPDATE mailbox SET path = ? WHERE id = ?", (path, mailbox))


def drop(tx: Tx, mailbox: int) -> None:
    """Remove a mailbox; `sweep` removes its messages."""
    tx.execute("DELETE FROM mailbox WHERE id = ?", (mailbox,))


def drop_account(tx: Tx, account: str) -> None:
    """Remove all mailboxes of an account; `sweep` removes their messages."""
    tx.execute("DELETE FROM mailbox WHERE account = ?", (account,))


def sweep(tx: Tx, limit: int) -> bool:
    """Remove at most `limit` messages of removed mailboxes; return whether more may be left."""
    row = tx.execute("SELECT id FROM mailbox_gone LIMIT 1").fetchone()
    if row is None:
        return False
    uids = tx.execute("SELECT uid FROM mailbox_message WHERE mailbox = ? LIMIT ?", (row[0], limit)).fetchall()
    tx.executemany("DELETE FROM mailbox_message WHERE mailbox = ? AND uid = ?", [(row[0], uid) for (uid,) in uids])
    if len(uids) < limit:
        tx.execute("DELETE FROM mailbox_gone WHERE id = ?", (row[0],))
    return True


def mark_use(tx: Tx, mailbox: int, special_use: str | None) -> None:
    """Store the special use of a mailbox."""
    tx.execute("UPDATE mailbox SET special_use = ? WHERE id = ?", (special_use, mailbox))


def set_position(tx: Tx, mailbox: int, uid_validity: int, uid_next: int, modseq: int | None) -> None:
    """Note that everything below `uid_next` and up to `modseq` is known."""
    tx.execute(
        "UPDATE mailbox SET uid_validity = ?, uid_next = ?, modseq = ? WHERE id = ?",
        (uid_validity, uid_next, modseq, mailbox),
    )


def set_modseq(tx: Tx, mailbox: int, modseq: int | None) -> None:
    """Note that changes up to `modseq` are known."""
    tx.execute("UPDATE mailbox SET modseq = ? WHERE id = ?", (modseq, mailbox))


def advance(tx: Tx, mailbox: int, uid: int) -> int | None:
    """Note that messages up to `uid` are being announced; return the first UID not announced before.

    None if all have been announced, or if the mailbox was removed: then announce none.
    """
    row = tx.execute("SELECT uid_next FROM mailbox WHERE id = ? AND uid_next <= ?", (mailbox, uid)).fetchone()
    if row is None:
        return None
    tx.execute("UPDATE mailbox SET uid_next = ? WHERE id = ?", (uid + 1, mailbox))
    return int(row[0])


def note(tx: Tx, mailbox: int, messages: Iterable[tuple[int, frozenset[str]]]) -> None:
    """Store UID and flags of messages, unless the mailbox was removed."""
    if not exists(tx, mailbox):
        return
    tx.executemany(
        "INSERT OR REPLACE INTO mailbox_message (mailbox, uid, flags) VALUES (?, ?, ?)",
        [(mailbox, uid, _written(flags)) for uid, flags in messages],
    )


def change_flags(tx: Tx, mailbox: int, uid: int, flags: frozenset[str]) -> frozenset[str] | None:
    """Set a message's flags; return the old ones, or None if nothing changed or the message is unknown."""
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


def unannounced(tx: Tx, mailbox: int, uids: Iterable[int]) -> list[int]:
    """Those of the messages that are not known yet and will be announced when they are, as far as it is watched."""
    row = get(tx, mailbox)
    if row is None or not row.watched:
        return []
    return [uid for uid in uids if uid >= (row.uid_next or 0) and flags(tx, mailbox, uid) is None]


def remove(tx: Tx, mailbox: int, uid: int) -> bool:
    """Remove a message; return whether it was known."""
    return tx.execute("DELETE FROM mailbox_message WHERE mailbox = ? AND uid = ?", (mailbox, uid)).rowcount > 0


def count(db: sqlite3.Connection, mailbox: int) -> int:
    """How many messages are known."""
    return int(db.execute("SELECT count(*) FROM mailbox_message WHERE mailbox = ?", (mailbox,)).fetchone()[0])


def uids(db: sqlite3.Connection, mailbox: int, spans: Sequence[tuple[int, int]] = ((1, 2**63 - 1),)) -> array[int]:
    """The known UIDs within these ranges, ascending within each."""
    found = array("Q")
    for first, last in spans:
        rows = db.execute(
            "SELECT uid FROM mailbox_message WHERE mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid",
            (mailbox, first, last),
        )
        found.extend(uid for (uid,) in rows)
    return found


def count_failure(tx: Tx, mailbox: int, uid: int, question: str, failures: int = 1) -> None:
    """Count one more time that asking `question` about a message ended the connection."""
    tx.execute(
        "INSERT INTO mailbox_unreadable (mailbox, uid, question, failures) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET failures = failures + excluded.failures",
        (mailbox, uid, question, failures),
    )


def failures(db: sqlite3.Connection, mailbox: int) -> dict[tuple[int, str], int]:
    """How often asking about a message of this mailbox ended the connection, by UID and question."""
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
        mailbox_id=row[10],
    )
