from __future__ import annotations

import pytest
import trio
import trio.testing

from engine.queue.schedule import Agenda, Schedule
from engine.world import SeededWorld


@pytest.fixture
def world() -> SeededWorld:
    return SeededWorld(1)


@pytest.fixture
def agenda(world: SeededWorld) -> Agenda:
    return Agenda(world)


async def test_nothing_is_due_before_its_time(agenda: Agenda, world: SeededWorld, autojump_clock: object) -> None:
    agenda.add(1, world.now() + 10)
    assert agenda.take() is None
    await trio.sleep(9.999)
    assert not agenda.is_due()
    await trio.sleep(0.001)
    assert agenda.is_due()
    assert agenda.take() == 1
    assert agenda.take() is None
    assert len(agenda) == 0


async def test_the_longest_overdue_comes_first(agenda: Agenda, world: SeededWorld, autojump_clock: object) -> None:
    for message, due in ((1, 3), (2, 1), (3, 2), (4, 1)):
        agenda.add(message, world.now() - due)
    assert [agenda.take() for _ in range(4)] == [1, 3, 2, 4]


async def test_who_waits_wakes_when_the_first_is_due(
    agenda: Agenda, world: SeededWorld, autojump_clock: object
) -> None:
    agenda.add(1, world.now() + 60)
    started = trio.current_time()
    await agenda.wait(3600)
    assert trio.current_time() - started == pytest.approx(60)
    assert agenda.take() == 1
    started = trio.current_time()
    await agenda.wait(3600)
    assert trio.current_time() - started == pytest.approx(3600)


async def test_an_earlier_message_wakes_who_waits(agenda: Agenda, world: SeededWorld, autojump_clock: object) -> None:
    agenda.add(1, world.now() + 1000)
    woken: list[float] = []

    async def wait() -> None:
        await agenda.wait(3600)
        woken.append(trio.current_time())

    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        agenda.add(2, world.now() + 2000)
        await trio.sleep(1)
        assert woken == []
        agenda.add(3, world.now() + 5)
    assert woken == [pytest.approx(started + 2)]


async def test_a_poke_wakes_who_waits(agenda: Agenda, autojump_clock: object) -> None:
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agenda.wait, 3600)
        nursery.start_soon(agenda.wait_for_change, 3600)
        await trio.sleep(1)
        agenda.poke()
    assert trio.current_time() - started == pytest.approx(1)


def test_every_account_has_an_agenda_of_its_own(world: SeededWorld) -> None:
    schedule = Schedule(world)
    assert schedule.of("a") is schedule.of("a")
    assert schedule.of("a") is not schedule.of("b")
    before = schedule.of("a")
    schedule.forget("a")
    schedule.forget("never there")
    assert schedule.of("a") is not before
