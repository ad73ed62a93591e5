"""Bodies that wait in a file, and turns for those at work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import trio
import trio.testing

from engine.arriving_body import IN_MEMORY, ArrivingBody
from engine.errors import StorageFull, StorageUnavailable
from engine.heavy_work import HeavyWork
from engine.world import World


async def arrived(folder: Path | None, size: int, piece: int = 65_537) -> tuple[ArrivingBody, bytes]:
    data = os.urandom(size)
    body = ArrivingBody(folder, World())
    for at in range(0, size, piece):
        await body.add(data[at : at + piece])
    return body, data


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY + 7])
async def test_it_comes_back_as_it_arrived(tmp_path: Path, size: int) -> None:
    body, data = await arrived(tmp_path, size)
    assert body.size == size
    assert body.is_large == (size > IN_MEMORY)
    assert os.listdir(tmp_path) == []
    assert await body.load() == data


async def test_without_a_folder_it_stays_in_memory() -> None:
    body, data = await arrived(None, 2 * IN_MEMORY)
    assert not body.is_large
    assert await body.load() == data


async def test_a_disk_that_cannot_take_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageUnavailable, match="No such file"):
        await arrived(tmp_path / "gone", IN_MEMORY + 1)

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(StorageFull, match="No space left"):
        await arrived(tmp_path, IN_MEMORY + 1)


async def test_one_large_request_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    work, order = HeavyWork(), list[str]()

    async def request(name: str, *, waits: bool) -> None:
        async with work.large():
            order.append(f"{name} begins")
            if waits:
                work.go_on_slowly()
            async with work.short():
                await trio.sleep(6 if name == "c" else 5)
            order.append(f"{name} ends")

    async with trio.open_nursery() as nursery:
        for name, waits in (("a", False), ("b", True), ("c", False)):
            nursery.start_soon(lambda name=name, waits=waits: request(name, waits=waits))  # type: ignore[misc]
            await trio.sleep(0.1)
    assert order == ["a begins", "a ends", "b begins", "c begins", "b ends", "c ends"]


async def test_a_cancelled_request_gives_its_turn_back(autojump_clock: trio.testing.MockClock) -> None:
    work = HeavyWork()
    with trio.move_on_after(1):
        async with work.large():
            await trio.sleep_forever()
    with trio.fail_after(1):
        async with work.large():
            pass


async def test_a_request_that_waited_for_a_server_waits_for_another_turn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    work, order = HeavyWork(), []

    async def request(name: str) -> None:
        async with work.large():
            assert work.go_on_slowly() and not work.go_on_slowly()
            await trio.sleep(5)
            async with work.large():
                order.append(f"{name} begins")
                await trio.sleep(10)
                order.append(f"{name} ends")

    assert not work.go_on_slowly()
    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(request, name)
    assert sorted(order[:2]) in (["a begins", "a ends"], ["b begins", "b ends"]) and len(order) == 4
    assert trio.current_time() == 25
