from __future__ import annotations

import pytest
import trio
import trio.testing
from seeded_world import SeededWorld

from engine.queue.schedule import Agenda, Schedule
from engine.world import World


@pytest.fixture
def world() -> SeededWorld:
    return SeededWorld(1)


@pytest.fixture
def agenda(world: SeededWorld) -> Agenda:
    return Agenda(world)


def taken(agenda: Agenda) -> int:
    entry = agenda.take()
    assert entry is not None
    return entry[0]


async def test_nothing_is_due_before_its_time(agenda: Agenda, world: SeededWorld, autojump_clock: object) -> None:
    agenda.add(1, world.now() + 10)
    assert agenda.take() is None
    await trio.sleep(9.999)
    assert not agenda.is_due()
    await trio.sleep(0.001)
    assert agenda.is_due()
    assert agenda.take() == (1, world.now())
    assert agenda.take() is None
    assert len(agenda) == 0


async def test_the_longest_overdue_comes_first(agenda: Agenda, world: SeededWorld, autojump_clock: object) -> None:
    for message, due in ((1, 3), (2, 1), (3, 2), (4, 1)):
        agenda.add(message, world.now() - due)
    assert [taken(agenda) for _ in range(4)] == [1, 3, 2, 4]


async def test_who_waits_wakes_when_the_first_is_due(
    agenda: Agenda, world: SeededWorld, autojump_clock: object
) -> None:
    agenda.add(1, world.now() + 60)
    started = trio.current_time()
    await agenda.wait(3600)
    assert trio.current_time() - started == pytest.approx(60)
    assert taken(agenda) == 1
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


async def test_what_is_due_at_the_same_moment_goes_in_the_order_it_was_handed_in() -> None:
    # On the real clocks: two readings of them never agree to the last digit.
    world = World()
    for due in (world.now() - 5, world.now()):
        agenda = Agenda(world)
        for message in range(200):
            agenda.add(message, due, scheduled=True)
        while not agenda.is_due():
            await agenda.wait(1)
        assert [taken(agenda) for _ in range(200)] == list(range(200))


class SteppingWorld(SeededWorld):
    """A wall clock that can be set."""

    step = 0.0

    def now(self) -> float:
        return super().now() + self.step


@pytest.mark.parametrize("step", [365 * 86400.0, -3600.0])
async def test_a_stepped_clock_moves_scheduled_mail_and_no_retries(step: float, autojump_clock: object) -> None:
    world = SteppingWorld(1)
    agenda = Agenda(world)
    retry, scheduled = world.now() + 1000, world.now() + 2000
    agenda.add(1, retry)
    agenda.add(2, scheduled, scheduled=True)
    world.step = step
    await trio.sleep(999)
    assert agenda.take() == ((2, scheduled) if step > 0 else None)
    await trio.sleep(1)
    assert agenda.take() == (1, retry)
    started = trio.current_time()
    if step < 0:
        while not agenda.is_due():
            await agenda.wait(3600)
        assert trio.current_time() - started == pytest.approx(1000 + 3600)
        assert agenda.take() == (2, scheduled)
    assert agenda.take() is None


async def test_what_is_cleared_is_forgotten(agenda: Agenda, world: SeededWorld, autojump_clock: object) -> None:
    agenda.add(1, world.now())
    agenda.add(2, world.now() + 5, scheduled=True)
    agenda.clear()
    assert len(agenda) == 0
    assert not agenda.is_due()
