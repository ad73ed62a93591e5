"""Queue ids: as EmailEngine's look, and never the same twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from engine.queue.queue_ids import QueueIds
from engine.world import World

DUE = 1_800_000_000.25


class SameWorld(World):
    """A world where chance always decides the same, as it may."""

    def token_bytes(self, n: int) -> bytes:
        return b"\xff" * n


@pytest.fixture
def journal() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE message (queue_id TEXT NOT NULL UNIQUE)")
    yield db
    db.close()


def test_it_is_the_time_then_eight_digits(journal: sqlite3.Connection) -> None:
    ids = QueueIds(journal, World())
    assert [len(ids.new(when)) for when in (0.0, DUE, 1e11)] == [19, 19, 19]
    assert ids.new(DUE).startswith(f"{int(DUE * 1000):011x}")


def test_messages_that_are_due_together_have_ids_of_their_own(journal: sqlite3.Connection) -> None:
    ids = QueueIds(journal, SameWorld())
    assert len({ids.new(DUE) for _ in range(2000)}) == 2000


def test_ids_of_an_earlier_process_are_not_used_again(journal: sqlite3.Connection) -> None:
    earlier = QueueIds(journal, SameWorld())
    journal.executemany("INSERT INTO message VALUES (?)", [(earlier.new(DUE),) for _ in range(50)])
    later = QueueIds(journal, SameWorld())
    journal.executemany("INSERT INTO message VALUES (?)", [(later.new(DUE),) for _ in range(50)])


def test_the_journal_is_asked_only_about_what_an_earlier_process_can_have_named(journal: sqlite3.Connection) -> None:
    """Each look into it would cost every submission as much as a hundredth of its acceptance."""
    journal.execute("INSERT INTO message VALUES (?)", (QueueIds(journal, SameWorld()).new(DUE),))
    ids, asked = QueueIds(journal, World()), list[str]()
    journal.set_trace_callback(asked.append)
    ids.new(DUE + 1.0)
    assert asked == []
    ids.new(DUE - 1.0)
    assert len(asked) == 1
