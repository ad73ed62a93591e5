"""The writer on a full disk: what is refused, what waits, and the reserve."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from store_disk import DiskWorld, event, names, put, sqlite_error

from engine.errors import StorageFailed, StorageFull
from engine.store.writer import Store, Tx


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
