"""The engine's clock against those of servers that have answered."""

from __future__ import annotations

from email.utils import formatdate

import pytest
import trio
import trio.testing

from engine.remote_clocks import MOST, REMEMBERED, RemoteClocks
from engine.world import World

START = 1_800_000_000.0


class SetWorld(World):
    """Its wall clock is `ahead` of the true time."""

    ahead = 0.0

    def now(self) -> float:
        return true_time() + self.ahead


def true_time() -> float:
    return START + trio.current_time()


@pytest.fixture
def world(autojump_clock: trio.testing.MockClock) -> SetWorld:
    return SetWorld()


def told(clocks: RemoteClocks, *hosts: str, off: float = 0.0, took: float = 0.2) -> None:
    for host in hosts:
        clocks.note(host, formatdate(true_time() + off, usegmt=True), took)


async def test_a_right_clock_is_not_complained_of(world: SetWorld) -> None:
    clocks = RemoteClocks(world)
    assert clocks.wrong() is None, "no one was asked"
    world.ahead = 50.0
    told(clocks, "a.example", "b.example")
    assert clocks.wrong() is None


@pytest.mark.parametrize("ahead", [240.0, -240.0, 400 * 86_400.0])
async def test_a_wrong_clock_is_measured(world: SetWorld, ahead: float) -> None:
    clocks, world.ahead = RemoteClocks(world), ahead
    told(clocks, "b.example", "a.example")
    wrong = clocks.wrong()
    assert wrong is not None and abs(wrong.ahead - ahead) < 2
    assert wrong.hosts == ("a.example", "b.example")


async def test_one_server_among_several_is_not_believed(world: SetWorld) -> None:
    clocks = RemoteClocks(world)
    told(clocks, "odd.example", off=3600)
    told(clocks, "a.example", "b.example")
    assert clocks.wrong() is None
    world.ahead = 300.0
    told(clocks, "a.example", "b.example")
    wrong = clocks.wrong()
    assert wrong is not None and wrong.hosts == ("a.example", "b.example")


async def test_two_that_differ_prove_nothing(world: SetWorld) -> None:
    clocks = RemoteClocks(world)
    told(clocks, "a.example", off=3600)
    told(clocks, "b.example")
    assert clocks.wrong() is None


async def test_a_correction_counts_at_once(world: SetWorld) -> None:
    clocks, world.ahead = RemoteClocks(world), -240.0
    told(clocks, "a.example")
    assert clocks.wrong() is not None
    world.ahead = 0.0
    assert clocks.wrong() is None
    world.ahead = 100.0
    assert clocks.wrong() is None, "compared with the clock of before"
    told(clocks, "a.example")
    assert clocks.wrong() is not None


async def test_a_day_later_it_is_forgotten(world: SetWorld, autojump_clock: trio.testing.MockClock) -> None:
    clocks, world.ahead = RemoteClocks(world), 240.0
    told(clocks, "a.example")
    autojump_clock.jump(REMEMBERED)
    assert clocks.wrong() is not None
    autojump_clock.jump(1)
    assert clocks.wrong() is None


DATES = ["", "yesterday", "Sat, 99 Foo 2026 25:61:00 GMT", "9" * 500, "Thu, 01 Jan 99999 00:00:00 GMT"]


@pytest.mark.parametrize("date", DATES)
async def test_no_date(world: SetWorld, date: str) -> None:
    clocks, world.ahead = RemoteClocks(world), 240.0
    clocks.note("a.example", date, 0.1)
    assert clocks.wrong() is None


async def test_a_slow_answer_says_too_little(world: SetWorld) -> None:
    clocks, world.ahead = RemoteClocks(world), 240.0
    told(clocks, "a.example", took=11)
    assert clocks.wrong() is None


async def test_the_newest_hosts_are_kept(world: SetWorld) -> None:
    clocks, world.ahead = RemoteClocks(world), 240.0
    told(clocks, *(f"{number:04}.example" for number in range(MOST + 5)))
    wrong = clocks.wrong()
    assert wrong is not None and len(wrong.hosts) == MOST and wrong.hosts[0] == "0005.example"
