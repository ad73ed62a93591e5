"""The writer: commits, order, failures that latch, locks of others."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from store_disk import DiskWorld, event, names, put, sqlite_error

from engine.errors import StorageBusy, StorageFailed
from engine.store import database
from engine.store.writer import MAX_BATCH, Store, Tx
from engine.world import World


def fail(name: str) -> Callable[[Tx], None]:
    def change(tx: Tx) -> None:
        put(name)(tx)
        tx.next_seq()
        tx.after_commit(lambda: pytest.fail("ran after a change that was undone"))
        raise ValueError(name)

    return change


async def test_an_answer_comes_only_after_the_commit(store: Store, world: DiskWorld, nursery: trio.Nursery) -> None:
    world.disk.goes_on = trio.Event()
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await store.commit(put("a")))

    nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    assert (answers, names(store)) == ([], [])
    world.disk.goes_on.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (answers, names(store)) == (["a"], ["a"])


async def test_changes_that_wait_share_one_commit(store: Store, world: DiskWorld) -> None:
    world.disk.goes_on = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit, put("first"))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(MAX_BATCH + 1):
            nursery.start_soon(store.commit, put(f"{number:04}"))
        await trio.testing.wait_all_tasks_blocked()
        world.disk.goes_on.set()
    assert len(names(store)) == MAX_BATCH + 2
    assert world.disk.commits == 3


async def test_a_change_that_raises_is_undone_alone(store: Store, world: DiskWorld) -> None:
    results: list[object] = []

    async def ask(change: Callable[[Tx], object]) -> None:
        try:
            results.append(await store.commit(change))
        except ValueError as error:
            results.append(f"failed {error}")

    async with trio.open_nursery() as nursery:
        for change in (put("a"), fail("b"), put("c")):
            nursery.start_soon(ask, change)
    assert sorted(map(str, results)) == ["a", "c", "failed b"]
    assert names(store) == ["a", "c"]
    assert world.disk.commits == 1


async def test_after_commit_runs_in_order_on_disk_and_before_the_answer(store: Store) -> None:
    seen: list[tuple[int, list[str]]] = []

    def note(number: int) -> None:
        seen.append((number, names(store)))

    def change(tx: Tx) -> None:
        put("a")(tx)
        for number in (1, 2, 3):
            tx.after_commit(partial(note, number))

    await store.commit(change)
    assert seen == [(1, ["a"]), (2, ["a"]), (3, ["a"])]


async def test_event_numbers_have_no_gaps_across_failing_changes(store: Store) -> None:
    async def try_to_fail(number: int) -> None:
        with pytest.raises(ValueError, match=str(number)):
            await store.commit(fail(str(number)))

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(store.commit, event)
            nursery.start_soon(try_to_fail, number)
    assert [seq for (seq,) in store.reader.execute("SELECT seq FROM event ORDER BY seq")] == list(range(1, 51))
    assert store.last_seq == 50


async def test_event_numbers_go_on_after_a_restart(folder: Path, store: Store) -> None:
    assert [await store.commit(event) for _ in range(3)] == [1, 2, 3]
    again = Store(folder, DiskWorld())
    async with trio.open_nursery() as nursery:
        await nursery.start(again.run)
        assert again.last_seq == 3
        assert await again.commit(event) == 4
        nursery.cancel_scope.cancel()


async def test_a_change_whose_caller_went_away_is_still_made(store: Store, world: DiskWorld) -> None:
    world.disk.goes_on = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit, put("a"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit(put("b"))
    world.disk.goes_on.set()
    await trio.testing.wait_all_tasks_blocked()
    assert names(store) == ["a", "b"]


async def test_what_waits_when_the_store_is_stopped_is_committed(folder: Path) -> None:
    world = DiskWorld()
    store = Store(folder, world)
    world.disk.goes_on = trio.Event()
    answers: list[str] = []

    async def ask(name: str) -> None:
        answers.append(await store.commit(put(name)))

    async with trio.open_nursery() as callers:
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run)
            callers.start_soon(ask, "a")
            await trio.testing.wait_all_tasks_blocked()
            callers.start_soon(ask, "b")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            world.disk.goes_on.set()
        with trio.move_on_after(1):
            await trio.testing.wait_all_tasks_blocked()
    assert sorted(answers) == ["a", "b"]
    db = database.open_reader(folder)
    assert db.execute("SELECT count(*) FROM setting").fetchone() == (2,)
    db.close()


@pytest.mark.parametrize(
    ("code", "text"), [(sqlite3.SQLITE_IOERR, "disk I/O error"), (sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")]
)
async def test_a_failed_commit_latches(
    folder: Path, code: int, text: str, engine_errors: list[logging.LogRecord]
) -> None:
    world = DiskWorld()
    store = Store(folder, world)
    world.disk.goes_on = trio.Event()
    world.disk.errors = [sqlite_error(code, text)]
    told: list[str] = []

    async def ask(name: str) -> None:
        with pytest.raises(StorageFailed, match="disk I/O error"):
            await store.commit(put(name))
        told.append(name)

    async with trio.open_nursery() as callers:
        with pytest.RaisesGroup(StorageFailed):
            async with trio.open_nursery() as nursery:
                await nursery.start(store.run)
                callers.start_soon(ask, "in the commit")
                await trio.testing.wait_all_tasks_blocked()
                callers.start_soon(ask, "waiting")
                await trio.testing.wait_all_tasks_blocked()
                world.disk.goes_on.set()
    assert sorted(told) == ["in the commit", "waiting"]
    assert store.failed
    with pytest.raises(StorageFailed):
        await store.commit(put("later"))
    db = database.open_reader(folder)
    assert db.execute("SELECT count(*) FROM setting").fetchone() == (0,)
    db.close()
    assert len(engine_errors) == 1


async def test_a_failure_beside_the_journal_latches_too(folder: Path, engine_errors: list[logging.LogRecord]) -> None:
    world = DiskWorld()
    store = Store(folder, world)
    world.disk.goes_on = trio.Event()
    told: list[str] = []

    async def ask(name: str) -> None:
        with pytest.raises(StorageFailed, match="spool"):
            await store.commit(put(name))
        told.append(name)

    async with trio.open_nursery() as callers:
        with pytest.RaisesGroup(StorageFailed):
            async with trio.open_nursery() as nursery:
                await nursery.start(store.run)
                callers.start_soon(ask, "in the commit")
                await trio.testing.wait_all_tasks_blocked()
                callers.start_soon(ask, "waiting")
                await trio.testing.wait_all_tasks_blocked()
                store.fail(StorageFailed("the spool could not be synced"))
                assert store.failed
                world.disk.goes_on.set()
    assert sorted(told) == ["in the commit", "waiting"]
    with pytest.raises(StorageFailed):
        await store.admit(put("later"))
    assert len(engine_errors) == 1


async def test_after_a_failed_write_the_log_is_left_and_the_start_moves_it(
    folder: Path, engine_errors: list[logging.LogRecord]
) -> None:
    world = DiskWorld()
    store = Store(folder, world)
    with pytest.RaisesGroup(StorageFailed):
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run)
            await store.commit(put("kept"))
            world.disk.errors = [sqlite_error(sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")]
            with pytest.raises(StorageFailed):
                await store.commit(put("failed"))
    assert database.log_size(folder) > 0
    again = Store(folder, DiskWorld())
    assert database.log_size(folder) == 0
    assert names(again) == ["kept"]
    again._close()


async def test_a_lock_of_another_process_is_waited_for(
    folder: Path, store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    other = database._connect(folder, "rw")
    other.execute("BEGIN IMMEDIATE")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit, put("a"))
        await trio.sleep(1)
        assert names(store) == []
        other.execute("COMMIT")
    assert names(store) == ["a"]
    other.close()


async def test_a_lock_held_for_long_refuses_new_work_and_loses_nothing(
    folder: Path, store: Store, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    other = database._connect(folder, "rw")
    other.execute("BEGIN EXCLUSIVE")
    refused: list[float] = []

    async def new(name: str) -> None:
        with pytest.raises(StorageBusy):
            await store.admit(put(name))
        refused.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for name in ("a", "b"):
            nursery.start_soon(store.commit, put(name))
            nursery.start_soon(new, name)
            await trio.sleep(1.5)
        assert "another process has locked" in caplog.text
        await trio.sleep(6.5)
        assert (refused, store.locked_out) == ([], False)
        await trio.sleep(1)
        assert (len(refused), store.locked_out) == (2, True)
        await new("c")
        nursery.start_soon(store.commit, put("d"))
        await trio.sleep(100)
        assert names(store) == []
        other.execute("COMMIT")
    assert (names(store), store.locked_out) == (["a", "b", "d"], False)
    assert await store.admit(put("e")) == "e"
    assert caplog.text.count("another process has locked") == 1
    assert "was released" in caplog.text
    other.close()


async def test_the_real_thread_commits_and_raises(folder: Path) -> None:
    store = Store(folder, World())
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        assert await store.commit(put("a")) == "a"
        with pytest.raises(ValueError, match="b"):
            await store.commit(fail("b"))
        assert names(store) == ["a"]
        nursery.cancel_scope.cancel()


async def test_what_waits_for_a_lock_when_the_store_is_stopped_is_answered(folder: Path) -> None:
    store = Store(folder, DiskWorld())
    other = database._connect(folder, "rw")
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await store.commit(put("a")))

    async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
        await nursery.start(store.run)
        other.execute("BEGIN IMMEDIATE")
        callers.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        other.execute("COMMIT")
        nursery.cancel_scope.cancel()
    assert answers == ["a"]
    other.close()
