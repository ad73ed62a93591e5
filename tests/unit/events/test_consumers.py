"""Two clients that use one consumer's name do not throw each other out without end."""

from __future__ import annotations

from pathlib import Path

import trio
from seeded_world import SeededWorld

from engine.events.consumers import LONGEST_WAIT, SOON, Consumers
from engine.store import database
from engine.store.writer import Store


async def test_two_that_take_it_from_each_other_slow_down(tmp_path: Path, autojump_clock) -> None:
    database.prepare_folder(tmp_path)
    world = SeededWorld(1)
    consumers = Consumers(Store(tmp_path, world), world)
    takeovers: list[float] = []

    async def client() -> None:
        while True:
            if (seconds := consumers.wait("", "billing")) and not await consumers.turn("", "billing", seconds):
                await trio.sleep(0.01)
                continue
            lease = consumers.take("", "billing")
            takeovers.append(trio.current_time())
            await lease.displaced.wait()
            await lease.close()
            await trio.sleep(0.01)

    with trio.move_on_after(600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            nursery.start_soon(client)
    assert len(takeovers) < 40
    assert takeovers[-1] - takeovers[-2] >= LONGEST_WAIT
    assert consumers.fought_over("", "billing")
    await trio.sleep(SOON + 1)
    assert not consumers.fought_over("", "billing")
    assert consumers.wait("", "billing") == 0


async def test_one_that_comes_back_waits_for_nothing(tmp_path: Path, autojump_clock) -> None:
    database.prepare_folder(tmp_path)
    world = SeededWorld(1)
    consumers = Consumers(Store(tmp_path, world), world)
    for _ in range(5):
        assert consumers.wait("", "billing") == 0
        lease = consumers.take("", "billing")
        await trio.sleep(SOON + 1)
        assert not lease.displaced.is_set()


async def test_of_those_who_wait_only_the_newest_does(tmp_path: Path, autojump_clock) -> None:
    database.prepare_folder(tmp_path)
    world = SeededWorld(1)
    consumers = Consumers(Store(tmp_path, world), world)
    turns: list[tuple[int, bool, float]] = []

    async def wait(number: int) -> None:
        turns.append((number, await consumers.turn("", "billing", 5), trio.current_time()))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(wait, number)
            await trio.sleep(1)
    assert turns == [(0, False, 1), (1, False, 2), (2, True, 7)]
