from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest
import trio
from seeded_world import SeededWorld

from engine.errors import StorageFailed, StorageFull, StorageUnavailable
from engine.store import bodies
from engine.store.bodies import BLOCK, MessageBody, Spool
from engine.store.writer import Store, Tx


def stray_files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "spool").iterdir())


async def test_a_spooled_body_comes_back_in_blocks(folder: Path) -> None:
    spool = Spool(folder / "spool")
    content = os.urandom(BLOCK * 2 + 1)
    await spool.write("big", content)
    blocks = list(spool.blocks("big"))
    assert [len(each) for each in blocks] == [BLOCK, BLOCK, 1]
    assert b"".join(blocks) == content


async def test_a_body_that_cannot_be_written_is_no_lack_of_room_and_leaves_no_file(folder: Path) -> None:
    spool = Spool(folder / "spool" / "gone" / "spool")
    with pytest.raises(StorageUnavailable, match="could not be stored: No such file"):
        await spool.write("big", b"x")
    assert stray_files(folder) == []


@pytest.mark.parametrize("left", ["nothing", "a file"])
async def test_a_spool_that_is_gone_is_made_anew(folder: Path, left: str) -> None:
    spool = Spool(folder / "spool")
    (folder / "spool").rmdir()
    if left == "a file":
        (folder / "spool").write_text("in the way")
        with pytest.raises(StorageUnavailable, match="Not a directory"):
            await spool.write("big", b"x")
        return
    await spool.write("big", b"x")
    assert (folder / "spool").stat().st_mode & 0o777 == 0o700
    assert (folder / "spool" / "big").stat().st_mode & 0o777 == 0o600
    assert list(spool.blocks("big")) == [b"x"]


async def test_a_body_that_is_gone_is_said_to_be(folder: Path) -> None:
    with pytest.raises(StorageUnavailable, match="the message body cannot be read: No such file"):
        list(Spool(folder / "spool").blocks("big"))


async def test_a_sweep_leaves_folders_alone(folder: Path, nursery: trio.Nursery) -> None:
    store, spool = Store(folder, SeededWorld(1)), Spool(folder / "spool")
    await nursery.start(store.run)
    (folder / "spool" / "lost+found").mkdir()
    (folder / "spool" / "stray").symlink_to("nowhere")
    assert spool.sweep(store.reader) == 1
    assert stray_files(folder) == ["lost+found"]


async def test_a_name_in_use_is_refused_and_keeps_its_content(folder: Path) -> None:
    spool = Spool(folder / "spool")
    await spool.write("big", b"first")
    with pytest.raises(StorageUnavailable):
        await spool.write("big", b"second")
    assert b"".join(spool.blocks("big")) == b"first"


async def test_a_sweep_takes_only_what_no_row_names(folder: Path, nursery: trio.Nursery) -> None:
    store, spool = Store(folder, SeededWorld(1)), Spool(folder / "spool")
    await nursery.start(store.run)
    for name in ("named", "stray", "other"):
        await spool.write(name, b"x")
    await store.commit(lambda tx: bodies.insert(tx, [(1, MessageBody(b"h", b"", None, "named"))]))
    assert spool.sweep(store.reader) == 2
    assert stray_files(folder) == ["named"]


async def test_a_body_is_read_as_it_was_put(folder: Path, nursery: trio.Nursery) -> None:
    store = Store(folder, SeededWorld(1))
    await nursery.start(store.run)
    body = MessageBody(b"Subject: hi\r\n", b"Bcc: a@b.example\r\n", b"text\x00\xff", None)
    await store.commit(lambda tx: bodies.insert(tx, [(7, body)]))
    assert bodies.get(store.reader, 7) == body
    assert bodies.get(store.reader, 8) is None


async def test_a_dropped_body_takes_its_file_along_once_committed(folder: Path, nursery: trio.Nursery) -> None:
    store, spool = Store(folder, SeededWorld(1)), Spool(folder / "spool")
    await nursery.start(store.run)
    await spool.write("big", b"x")
    await store.commit(lambda tx: bodies.insert(tx, [(1, MessageBody(b"h", b"", None, "big"))]))

    def drop_and_fail(tx: Tx) -> None:
        bodies.drop(tx, 1, spool)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.commit(drop_and_fail)
    assert stray_files(folder) == ["big"]
    assert bodies.get(store.reader, 1) is not None
    await store.commit(lambda tx: bodies.drop(tx, 1, spool))
    assert stray_files(folder) == []
    assert bodies.get(store.reader, 1) is None
    await store.commit(lambda tx: bodies.drop(tx, 1, spool))


async def test_a_failed_sync_of_a_body_latches_the_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch, engine_errors: list[logging.LogRecord]
) -> None:
    store = Store(folder, SeededWorld(1))
    spool = Spool(folder / "spool", store)

    def fails(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.RaisesGroup(StorageFailed):
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run)
            monkeypatch.setattr(os, "fsync", fails)
            with pytest.raises(StorageFailed, match="could not be synced"):
                await spool.write("big", b"x")
            assert store.failed
            with pytest.raises(StorageFailed):
                await store.commit(lambda tx: None)
    assert stray_files(folder) == []
    assert len(engine_errors) == 1


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull)])
async def test_no_room_for_a_body_is_no_failure(
    folder: Path, number: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(folder, SeededWorld(1))
    spool = Spool(folder / "spool", store)

    def fails(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(kind):
        await spool.write("big", b"x")
    assert not store.failed
    assert stray_files(folder) == []
    store._close()


async def test_a_body_larger_than_the_room_is_not_begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(folder, SeededWorld(1), reserve=4096)
    spool = Spool(folder / "spool", store)
    monkeypatch.setattr(store._reserve, "free", lambda: 10_000)
    await spool.write("small", b"x")
    with pytest.raises(StorageFull):
        await spool.write("big", b"x" * 8000)
    assert stray_files(folder) == ["small"]
    store._close()
