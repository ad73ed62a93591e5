"""What hangs on a row goes with it by itself, whatever table it is in."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.store import database
from engine.store.migrations import MIGRATIONS


class Parent(msgspec.Struct, frozen=True):
    """A table that others hang on: the columns that name its rows, and who stays all the same."""

    table: str
    columns: frozenset[str]
    stay: frozenset[str]
    gone: object = "gone"
    other: object = "other"


PARENTS = (
    # An unsubscription from a list that others send to is for good.
    # Events and messages stay until their time is over, and what an endpoint still owes of events until it is posted.
    # What was asked with a token tells of the token, and goes by age.
    Parent(
        "account",
        frozenset({"account", "owner"}),
        frozenset(
            {"event", "delivery_figure", "message", "webhook_line", "webhook_parked", "blocked", "token_request"}
        ),
    ),
    # A million messages are not removed in one commit; see `mailboxes.sweep`.
    Parent("mailbox", frozenset({"mailbox"}), frozenset({"mailbox_message"}), 7, 8),
    Parent("webhook", frozenset({"endpoint"}), frozenset()),
    # Bodies go with their file, a message with a copy owed is not removed, and what was sent counts without it.
    Parent("message", frozenset({"message"}), frozenset({"body", "sent_copy", "quota_use"}), 7, 8),
)


BEFORE_TRIGGERS = next(number for number, step in enumerate(MIGRATIONS) if "_goes_with_account" in step)
"""The schema version before the step that made what hangs on a row go by itself."""


@pytest.fixture(params=["new", "made by the version before"])
def db(request: pytest.FixtureRequest, folder: Path) -> Iterator[sqlite3.Connection]:
    """A journal whose every row hangs on a parent that goes or on another one; migrated where it is an old one."""
    steps = MIGRATIONS if request.param == "new" else MIGRATIONS[:BEFORE_TRIGGERS]
    with sqlite3.connect(folder / database.FILE) as old:
        for step in steps:
            old.executescript(step)
        for parent in PARENTS:
            fill(old, parent.table, "id", (parent.gone, parent.other))
            for table, column in children(old, parent):
                fill(old, table, column, (parent.gone, parent.other))
        old.execute(f"PRAGMA user_version={len(steps)}")
    old.close()
    migrated = database.open_writer(folder)
    hanging = [(parent, table, column) for parent in PARENTS for table, column in children(migrated, parent)]
    fresh = {table for _, table, _ in hanging if migrated.execute(f"SELECT 1 FROM {table}").fetchone() is None}
    migrated.execute("PRAGMA foreign_keys=OFF")  # what is added hangs on one row that is there, not on all it could
    for parent, table, column in hanging:
        if table in fresh:  # it is newer than the journal
            fill(migrated, table, column, (parent.gone, parent.other))
    migrated.execute("PRAGMA foreign_keys=ON")
    yield migrated
    migrated.close()


@pytest.mark.parametrize("parent", PARENTS, ids=lambda parent: parent.table)
def test_what_hangs_on_a_row_goes_with_it(db: sqlite3.Connection, parent: Parent) -> None:
    hanging = children(db, parent)
    assert parent.stay <= {table for table, _ in hanging}
    db.execute(f"DELETE FROM {parent.table} WHERE id = ?", (parent.gone,))
    for table, column in hanging:
        left = [row[0] for row in db.execute(f"SELECT {column} FROM {table} ORDER BY 1 DESC")]
        assert (parent.gone in left) == (table in parent.stay), table
        assert parent.other in left, table


def test_a_blocklist_of_an_account_alone_goes_with_it(db: sqlite3.Connection) -> None:
    db.execute("UPDATE blocked SET scope = account")
    db.execute("DELETE FROM account WHERE id = 'gone'")
    assert db.execute("SELECT scope FROM blocked").fetchall() == [("other",)]


def test_messages_of_a_mailbox_are_marked_to_be_swept(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM mailbox_gone")
    db.execute("UPDATE mailbox SET account = 'gone' WHERE id = 8")
    db.execute("DELETE FROM account WHERE id = 'gone'")
    assert (8,) in db.execute("SELECT id FROM mailbox_gone").fetchall()


def children(db: sqlite3.Connection, parent: Parent) -> list[tuple[str, str]]:
    """(table, column) of every table whose rows name a row of the parent."""
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return [(table, name) for table in tables for name, *_ in columns(db, table) if name in parent.columns]


def columns(db: sqlite3.Connection, table: str) -> list[tuple[str, str, bool]]:
    """(name, type, whether it needs a value) of every column."""
    return [
        (name, kind, bool(key or (needed and default is None)))
        for _, name, kind, needed, default, key in db.execute(f"PRAGMA table_info({table})")
    ]


NUMBERS = itertools.count(100)


def fill(db: sqlite3.Connection, table: str, column: str, values: tuple[object, ...]) -> None:
    """Add a row for each value of that column, whatever else it needs."""
    for value in values:
        row = {name: sample(kind) for name, kind, needed in columns(db, table) if needed} | {column: value}
        names, places = ", ".join(row), ", ".join("?" * len(row))
        db.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(row.values()))


def sample(kind: str) -> object:
    """A value of this type that no other row has."""
    number = next(NUMBERS)
    return {"TEXT": str(number), "BLOB": b"%d" % number}.get(kind, number)
