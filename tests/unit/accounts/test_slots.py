from __future__ import annotations

import pytest
import trio
import trio.testing

from engine.accounts.slots import LEASE, LoginSlots


async def log_in(slots: LoginSlots, seconds: float, begun: list[float]) -> None:
    async with slots:
        begun.append(trio.current_time())
        await trio.sleep(seconds)


async def test_no_more_at_once_than_there_are_slots(autojump_clock):
    slots, begun = LoginSlots(3), []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(log_in, slots, 1.0, begun)
    assert [round(each - start) for each in begun] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


async def test_those_who_hang_do_not_keep_the_others_waiting(autojump_clock):
    slots, begun = LoginSlots(2), []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(log_in, slots, 600.0, [])
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(6):
            nursery.start_soon(log_in, slots, 0.5, begun)
    assert begun[0] - start == pytest.approx(LEASE)
    assert begun[-1] - start == pytest.approx(LEASE + 1.0)


async def test_who_gives_up_waiting_takes_nothing(autojump_clock):
    slots, begun = LoginSlots(1), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log_in, slots, 2.0, [])
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await log_in(slots, 1.0, begun)
        assert begun == []
    await log_in(slots, 1.0, begun)
    assert len(begun) == 1
