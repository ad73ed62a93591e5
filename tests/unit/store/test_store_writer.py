from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from seeded_world import SeededWorld

from engine.errors import StorageBusy, StorageFailed, StorageFull
from engine.store import database
from engine.store.writer import MAX_BATCH, Store, Tx
from engine.world import World


class Disk:
    """The store's thread with a disk that can be told to wait or to fail."""

    def __init__(self) -> None:
        self.commits = 0
        self.goes_on = trio.Event()
        self.goes_on.set()
        self.errors: list[sqlite3.Error | None] = []

    async def run(self, job: Callable[[], None]) -> None:
        with trio.CancelScope(shield=True):
            await self.goes_on.wait()
        if job.__name__ != "commit":
            return job()
        self.commits += 1
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        return job()

    def close(self) -> None:
        pass


class DiskWorld(SeededWorld):
    def __init__(self) -> None:
        super().__init__(1)
        self.disk = Disk()

    def store_thread(self) -> Disk:
        return self.disk


def sqlite_error(code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def put(name: str) -> Callable[[Tx], str]:
    def change(tx: Tx) -> str:
        tx.execute("INSERT INTO setting (name, value) VALUES (?, '1')", (name,))
        return name

    return change


def fail(name: str) -> Callable[[Tx], None]:
    def change(tx: Tx) -> None:
        put(name)(tx)
        tx.next_seq()
        tx.after_commit(lambda: pytest.fail("ran after a change that was undone"))
        raise ValueError(name)

    return change


def event(tx: Tx) -> int:
    seq = tx.next_seq()
    tx.execute("INSERT INTO event (seq, account, name, body) VALUES (?, 'a', 'n', '{}')", (seq,))
    return seq


def names(store: Store) -> list[str]:
    return [name for (name,) in store.reader.execute("SELECT name FROM setting ORDER BY name")]


@pytest.fixture
def world() -> DiskWorld:
    return DiskWorld()


@pytest.fixture
async def store(folder: Path, world: DiskWorld, nursery: trio.Nursery) -> Store:
    store = Store(folder, world)
    await nursery.start(store.run)
    return store


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

    def change(tx: Tx) -> None:
        put("a")(tx)
        for number in (1, 2, 3):
            tx.after_commit(lambda number=number: seen.append((number, names(store))))

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


def full(count: int = 1) -> list[sqlite3.Error | None]:
    return [sqlite_error(sqlite3.SQLITE_FULL, "database or disk is full") for _ in range(count)]


async def test_new_work_is_refused_when_room_runs_out(store: Store, world: DiskWorld) -> None:
    world.disk.errors = full()
    with pytest.raises(StorageFull):
        await store.admit(event)
    assert not store.failed
    assert await store.admit(event) == 1
    assert await store.admit(put("a")) == "a"


async def test_new_work_that_is_too_large_is_refused_alone(store: Store) -> None:
    store._db.execute("PRAGMA max_page_count=60")

    def too_much(tx: Tx) -> None:
        tx.execute("INSERT INTO setting (name, value) VALUES ('big', ?)", (b"x" * 4_000_000,))

    with pytest.raises(StorageFull):
        await store.admit(too_much)
    assert await store.admit(put("small")) == "small"
    assert names(store) == ["small"]


async def together(world: DiskWorld, *calls: Callable[[], Awaitable[object]]) -> list[object]:
    """What calls that share one commit came to, each its result or its error."""
    world.disk.goes_on = trio.Event()
    results: dict[int, object] = {}

    async def ask(number: int, call: Callable[[], Awaitable[object]]) -> None:
        try:
            results[number] = await call()
        except (StorageFull, StorageFailed) as error:
            results[number] = error

    async with trio.open_nursery() as nursery:
        for number, call in enumerate(calls):
            nursery.start_soon(ask, number, call)
            await trio.testing.wait_all_tasks_blocked()
        world.disk.goes_on.set()
    return [results[number] for number in sorted(results)]


async def test_a_batch_without_room_is_split(store: Store, world: DiskWorld) -> None:
    # The first commit is under way while the others gather for the second.
    world.disk.errors = [None, *full()]
    outcomes = await together(
        world,
        lambda: store.commit(put("first")),
        lambda: store.admit(put("refused")),
        lambda: store.commit(event),
        lambda: store.admit(put("refused too")),
        lambda: store.commit(event),
    )
    assert [outcomes[0], outcomes[2], outcomes[4]] == ["first", 1, 2]
    assert isinstance(outcomes[1], StorageFull)
    assert isinstance(outcomes[3], StorageFull)
    assert names(store) == ["first"]


async def test_what_must_be_written_waits_for_room(
    store: Store, world: DiskWorld, autojump_clock: trio.testing.MockClock
) -> None:
    started = trio.current_time()
    world.disk.errors = full(7)
    assert await store.commit(event) == 1
    assert trio.current_time() - started >= 1
    assert not store.failed
    assert store.last_seq == 1


async def test_what_waits_for_room_is_written_in_order(
    store: Store, world: DiskWorld, autojump_clock: trio.testing.MockClock
) -> None:
    seen: list[str] = []

    def note(name: str) -> Callable[[Tx], None]:
        def change(tx: Tx) -> None:
            put(name)(tx)
            tx.after_commit(lambda: seen.append(name))

        return change

    world.disk.errors = full(9)
    await together(world, *(partial(store.commit, note(name)) for name in "abcdef"))
    assert seen == list("abcdef")


async def test_the_reserve_is_given_up_for_what_must_be_written_and_taken_again(
    folder: Path,
    world: DiskWorld,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(folder, world, reserve=64 * 1024)
    await nursery.start(store.run)
    reserve = folder / "reserve"
    assert reserve.stat().st_blocks * 512 >= 64 * 1024
    monkeypatch.setattr(store._reserve, "free", lambda: 0)
    with pytest.raises(StorageFull):
        await store.admit(event)
    world.disk.errors = full()
    assert await store.commit(event) == 1
    assert not reserve.exists()
    await trio.sleep(100)
    with pytest.raises(StorageFull):
        await store.admit(event)
    assert await store.commit(event) == 2
    monkeypatch.undo()
    with pytest.raises(StorageFull):
        await store.admit(event)
    await trio.sleep(3)
    assert reserve.stat().st_size == 64 * 1024
    assert await store.admit(event) == 3


async def test_a_stop_on_a_full_disk_answers_everyone(folder: Path, autojump_clock: trio.testing.MockClock) -> None:
    world = DiskWorld()
    store = Store(folder, world)
    world.disk.errors = full(100)
    outcomes: list[object] = []

    async def ask() -> None:
        try:
            outcomes.append(await store.commit(event))
        except StorageFull as error:
            outcomes.append(error)

    async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
        await nursery.start(store.run)
        store._db.execute("PRAGMA max_page_count=1")
        callers.start_soon(ask)
        await trio.sleep(5)
        assert outcomes == []
        nursery.cancel_scope.cancel()
    # There is room after all at the very end.
    assert outcomes == [1]


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
