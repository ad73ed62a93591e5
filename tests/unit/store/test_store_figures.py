"""What metrics read in the store: right, and quick however much waits there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection

import pytest
import trio
import trio.lowlevel

from engine.model.message_states import State
from engine.store import consumers, database, figures, outbox
from engine.store.outbox import Depth
from engine.store.writer import Store

NOW = 1_000_000.0
COLUMNS = (
    "queue_id, account, message_id, sender, smtputf8, size, created, send_at, next_at, state, attempts_max, on_doubt, "
    "expires_at, interruptions"
)


@contextmanager
def writing(folder: Path) -> Iterator[Connection]:
    with closing(database.open_writer(folder)) as db:
        db.execute("BEGIN")
        yield db
        db.commit()


def add(db: Connection, count: int, state: str, next_at: float | None, created: float = 1.0, ends: int = 0) -> None:
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
    marks = ", ".join("?" * (COLUMNS.count(",") + 1))
    db.executemany(
        f"INSERT INTO message ({COLUMNS}) VALUES ({marks})",
        (
            (f"q{n}", f"a{n % 50}", f"<{n}@x>", "a@x.example", 0, 1, created, 1, next_at, state, 9, "hold", 9e9, ends)
            for n in range(last, last + count)
        ),
    )


def test_messages_are_counted_by_state_with_the_time_since_the_first_is_due(folder: Path) -> None:
    with writing(folder) as db:
        add(db, 3, "queued", NOW + 60)
        add(db, 2, "queued", NOW - 30)
        add(db, 1, "sending", NOW - 5)
        add(db, 4, "in_doubt", None)
        add(db, 1, "in_doubt", NOW + 5)
        add(db, 2, "held", None, created=NOW - 500)
        add(db, 1, "held", None, created=NOW - 400, ends=10)
        add(db, 1, "queued", NOW - 99)
        db.execute("UPDATE message SET state = 'sent', ended = 1, next_at = NULL WHERE next_at = ?", (NOW - 99,))
    found = figures.read(folder, NOW)
    assert found.depths == {
        State.QUEUED: Depth(5, 2, NOW - 30),
        State.SENDING: Depth(1, 1, NOW - 5),
        State.DEFERRED: Depth(0, 0, None),
        State.IN_DOUBT: Depth(5, 0, None),
        State.HELD: Depth(3, 0, None),
    }
    assert (found.undecided, found.interrupted, found.oldest_held) == (4, 1, NOW - 500)
    assert (found.waiting, found.delayed) == (2, 11)
    assert found.journal > 4096
    assert found.free > 0
    with closing(database.open_reader(folder)) as db:
        assert outbox.counts(db, None, NOW) == outbox.Counts(1, 2, 11, NOW - 30)
        alone = [outbox.counts(db, f"a{n}", NOW) for n in range(50)]
    assert [sum(getattr(each, name) for each in alone) for name in ("active", "waiting", "delayed")] == [1, 2, 11]


async def test_consumers_are_among_them(store: Store, folder: Path) -> None:
    await store.commit(lambda tx: [consumers.make(tx, owner, "c", 7, NOW) for owner in ("", "acme")])
    await trio.lowlevel.checkpoint()
    assert [(each.owner, each.seq) for each in figures.read(folder, NOW).consumers] == [("", 7), ("acme", 7)]


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="unable to open"):
        figures.read(tmp_path, NOW)
    assert list(tmp_path.iterdir()) == []


def test_nothing_reads_a_row_for_each_message(folder: Path) -> None:
    with writing(folder) as db:
        asked: list[str] = []
        db.set_trace_callback(asked.append)
        outbox.depths(db, NOW)
        db.set_trace_callback(None)
        plans = [row[3] for each in asked for row in db.execute(f"EXPLAIN QUERY PLAN {each}")]
    assert len(plans) == 10
    assert all("INDEX message_open_by_state (state=?" in plan for plan in plans), plans
