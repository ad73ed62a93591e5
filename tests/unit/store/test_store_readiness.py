"""What keeps an engine from being ready."""

from __future__ import annotations

import sqlite3

import pytest
import trio
import trio.testing
from store_disk import DiskWorld, event, sqlite_error

from engine.http.readiness import unready
from engine.store import database
from engine.store.writer import STALLED, Store, Tx


async def test_a_store_that_commits_is_ready_and_one_that_stops_is_not(store: Store) -> None:
    assert unready(store, stopping=False) == {}
    assert unready(store, stopping=True) == {"engine": "is stopping"}


async def test_a_commit_that_does_not_end(
    store: Store, world: DiskWorld, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    assert store.stalled() == 0
    world.disk.goes_on = trio.Event()
    nursery.start_soon(store.commit, event)
    await trio.sleep(STALLED - 1)
    assert unready(store, stopping=False) == {}
    await trio.sleep(61)
    assert unready(store, stopping=False) == {"storage": "a commit has been under way for 65 seconds"}
    world.disk.goes_on.set()
    await trio.sleep(1)
    assert unready(store, stopping=False) == {}
    assert store.stalled() == 0


async def test_what_waits_for_room_is_no_stall_but_there_is_no_room(
    store: Store,
    world: DiskWorld,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.disk.errors = [sqlite_error(sqlite3.SQLITE_FULL, "database or disk is full")] * 400
    monkeypatch.setattr(store._reserve, "free", lambda: 0)
    nursery.start_soon(store.commit, event)
    await trio.sleep(60)
    assert store.stalled() < STALLED
    assert unready(store, stopping=False) == {"storage": "there is no room left on the disk that holds the data folder"}
    world.disk.errors = []
    monkeypatch.undo()
    await trio.sleep(60)
    assert store.last_seq == 1


async def test_another_process_that_holds_the_lock(
    store: Store, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    other = database.open_writer(store.path)
    other.execute("BEGIN IMMEDIATE")

    def change(tx: Tx) -> None:
        tx.execute("SELECT 1")

    nursery.start_soon(store.commit, change)
    await trio.sleep(60)
    assert store.stalled() < STALLED
    assert "another process has locked the journal" in unready(store, stopping=False)["storage"]
    other.rollback()
    other.close()
    await trio.sleep(60)
    assert unready(store, stopping=False) == {}
