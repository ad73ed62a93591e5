"""A journal that is moved, removed or replaced while it is open."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from seeded_world import SeededWorld

from engine.errors import StorageUnavailable
from engine.store import database, settings
from engine.store.bodies import Spool
from engine.store.writer import Store, Tx


def put(name: str) -> Callable[[Tx], None]:
    return lambda tx: settings.save(tx, {name: True})


def stored(folder: Path) -> set[str]:
    db = database.open_reader(folder)
    try:
        return set(settings.load(db))
    finally:
        db.close()


def move(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replace(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("copy"))
    move(folder)
    folder.with_name("copy").rename(folder)


LOSSES: dict[str, Callable[[Path], object]] = {
    "journal removed": lambda folder: (folder / "journal.db").unlink(),
    "journal renamed": lambda folder: (folder / "journal.db").rename(folder / "journal.old"),
    "log removed": lambda folder: (folder / "journal.db-wal").unlink(),
    "index removed": lambda folder: (folder / "journal.db-shm").unlink(),
    "folder removed": shutil.rmtree,
    "folder moved": move,
    "folder replaced": replace,
    "file instead": lambda folder: (move(folder), folder.write_bytes(b"")),
    "link instead": lambda folder: (move(folder), folder.symlink_to("nowhere")),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_nothing_is_said_to_be_kept_in_a_lost_journal(
    folder: Path, loss: str, autojump_clock: trio.testing.MockClock, engine_errors: list[logging.LogRecord]
) -> None:
    store = Store(folder, SeededWorld(1), reserve=64 * 1024)
    spool = Spool(folder / "spool", store, SeededWorld(1))
    finished = False
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        await store.admit(put("before"))
        LOSSES[loss](folder)
        for _ in range(3):
            with pytest.raises(StorageUnavailable, match="moved, removed or replaced"):
                await store.admit(put("new work"))
            with pytest.raises(StorageUnavailable, match="moved, removed or replaced"):
                await spool.write("body", b"x")
            with pytest.raises(StorageUnavailable):
                store.must_be_in_place()

        async def finish() -> None:
            nonlocal finished
            with pytest.raises(StorageUnavailable):
                await store.commit(put("outcome"))
            finished = True

        nursery.start_soon(finish)
        await trio.sleep(60)
        assert not finished
        assert store.lost
        assert not store.failed
        nursery.cancel_scope.cancel()
    assert engine_errors[0].getMessage().endswith("until it is back or the engine is restarted")
    assert len(engine_errors) <= 2
    if loss == "folder replaced":
        # What lies there now is another journal: neither it nor its log is touched.
        assert stored(folder) == {"before"}


async def test_a_loss_within_one_tick_of_the_timestamps_is_noticed(
    folder: Path, autojump_clock: trio.testing.MockClock, engine_errors: list[logging.LogRecord]
) -> None:
    def stop_the_clock() -> None:
        for path in (folder, folder / "journal.db-wal"):
            os.utime(path, ns=(0, 0))

    store = Store(folder, SeededWorld(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        await store.admit(put("before"))
        stop_the_clock()
        assert not store.lost
        (folder / "journal.db-shm").unlink()
        stop_the_clock()
        assert store.lost
        nursery.cancel_scope.cancel()


async def test_a_journal_that_comes_back_goes_on(
    folder: Path, autojump_clock: trio.testing.MockClock, engine_errors: list[logging.LogRecord]
) -> None:
    store = Store(folder, SeededWorld(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        move(folder)
        with pytest.raises(StorageUnavailable):
            await store.admit(put("refused"))
        nursery.start_soon(store.commit, put("outcome"))
        await trio.sleep(10)
        folder.with_name("elsewhere").rename(folder)
        await trio.sleep(2)
        assert not store.lost
        await store.admit(put("accepted"))
        assert set(settings.load(store.reader)) == {"outcome", "accepted"}
        nursery.cancel_scope.cancel()
    assert stored(folder) == {"outcome", "accepted"}
    assert len(engine_errors) == 1


async def test_new_work_whose_journal_goes_during_the_commit_is_not_said_to_be_kept(
    folder: Path, nursery: trio.Nursery, engine_errors: list[logging.LogRecord]
) -> None:
    store = Store(folder, SeededWorld(1))
    await nursery.start(store.run)

    def change(tx: Tx) -> None:
        put("new work")(tx)
        tx.after_commit(lambda: (folder / "journal.db").unlink())

    with pytest.raises(StorageUnavailable, match="this request may or may not have been carried out"):
        await store.admit(change)
    nursery.cancel_scope.cancel()


async def test_an_error_of_a_change_is_told_before_that_of_the_place(folder: Path, nursery: trio.Nursery) -> None:
    store = Store(folder, SeededWorld(1))
    await nursery.start(store.run)

    def change(tx: Tx) -> None:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        await store.admit(change)
    assert not store.lost
