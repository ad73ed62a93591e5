"""Connections that go silent and come back: when mail is announced, how much of the time an account is connected."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from inbox import deliver
from simulation import Engine, Simulation, servers

from engine.config import Imap
from engine.world import Choose

Clock = trio.testing.MockClock
SYNS = (0, 1, 2, 4, 8)
"""Seconds between the SYNs that Linux sends for a connection, within the thirty an account waits for one."""


class Way:
    """What lies between the engine and its mail servers."""

    def __init__(self) -> None:
        self.idle = math.inf
        self.mute = False
        """Whether a line is cut, after `idle` seconds without a byte, without a word."""
        self.dead = False
        self.dials = 0


class Line(trio.abc.Stream):
    """A connection that leads through a `Way`; once cut, or sent into a dead way, it stays dead."""

    def __init__(self, stream: trio.abc.Stream, way: Way) -> None:
        self._stream = stream
        self._way = way
        self._moved = trio.current_time()
        self._lost = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = None
        while data is None and not self._cut():
            # A byte sent in between counts too.
            with trio.move_on_at(min(self._moved + self._way.idle, trio.current_time() + 1)):
                data = await self._stream.receive_some(max_bytes)
        if data is None:
            return await self._gone()
        if self._cut():
            return await self._gone()
        self._moved = trio.current_time()
        return bytes(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._cut():
            await trio.lowlevel.checkpoint()
            if not self._lost and not self._way.mute:
                raise trio.BrokenResourceError
            return
        self._moved = trio.current_time()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _cut(self) -> bool:
        self._lost = self._lost or self._way.dead
        return self._lost or trio.current_time() - self._moved >= self._way.idle

    async def _gone(self) -> bytes:
        if self._lost or self._way.mute:
            await trio.sleep_forever()
        return b""


@pytest.fixture
def way() -> Way:
    return Way()


@pytest.fixture
def simulation(tmp_path: Path, way: Way, request: pytest.FixtureRequest) -> Simulation:
    return Simulation(tmp_path / "data", getattr(request, "param", 4711), imap=Imap())


def lead_through(engine: Engine, way: Way) -> None:
    world = engine.context.world
    real = world.dial

    async def dial(host: str, port: int, choose: Choose | None = None, local: Any = ()) -> trio.abc.Stream:
        way.dials += 1
        for pause in SYNS:
            await trio.sleep(pause)
            if not way.dead:
                return Line(await real(host, port), way)
        await trio.sleep_forever()
        raise AssertionError

    world.dial = dial


async def share_connected(engine: Engine, seconds: float, each: Callable[[], None] = lambda: None) -> float:
    found = engine.context.registry.get("acme")
    assert found is not None
    up = 0
    for _ in range(int(seconds)):
        await trio.sleep(1)
        up += found.status.state == "connected"
        each()
    return up / int(seconds)


async def told_after(engine: Engine, number: int) -> float:
    began = trio.current_time()
    deliver(engine, number)
    await engine.event("acme", "messageNew", number)
    return trio.current_time() - began


@pytest.mark.parametrize("capabilities", [frozenset[str](), frozenset({"IDLE"})], ids=["idle", "polled"])
@pytest.mark.parametrize(
    ("idle", "mute"), [(25, False), (55, False), (60, False), (240, False), (55, True), (240, True)]
)
async def test_a_proxy_that_cuts_quiet_lines(
    idle: int, mute: bool, capabilities: frozenset[str], simulation: Simulation, way: Way, autojump_clock: Clock
) -> None:
    random = Random(idle)
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= capabilities
        lead_through(engine, way)
        await engine.register("acme", **servers("acme", "x"))
        way.idle, way.mute = idle, mute
        assert await share_connected(engine, 1800) >= (0.95 if mute else 0.99)
        delays = []
        for number in range(1, 11):
            delays.append(await told_after(engine, number))
            await trio.sleep(random.uniform(0, 400))
        assert max(delays) <= (61 if capabilities else 5)
        before = way.dials
        assert await share_connected(engine, 3600) >= 0.99
        assert way.dials - before <= 1


async def test_a_server_that_is_started_again_and_again(
    simulation: Simulation, way: Way, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme", **servers("acme", "x"))
        for number in range(1, 12):
            await told_after(engine, number)
            await trio.sleep(20)
            engine.sandbox.faults.cut_imap()
        assert await told_after(engine, 12) <= 60


@pytest.mark.parametrize("seed", range(6))
async def test_a_line_that_goes_mute_while_all_seems_well(
    seed: int, simulation: Simulation, way: Way, autojump_clock: Clock
) -> None:
    random = Random(seed)
    async with simulation.running() as engine:
        lead_through(engine, way)
        await engine.register("acme", **servers("acme", "x"))
        await trio.sleep(random.uniform(0, 600))
        way.dead = True
        await trio.sleep(0.5)
        found = engine.context.registry.get("acme")
        assert found is not None
        async with trio.open_nursery() as nursery:

            async def be_back() -> None:
                await trio.sleep(random.uniform(0, 10))
                way.dead = False

            nursery.start_soon(be_back)
            assert await told_after(engine, 1) <= 120


@pytest.mark.parametrize("minutes", [1, 10, 30, 120])
@pytest.mark.parametrize("seed", range(4))
async def test_mail_is_told_within_a_minute_of_the_way_being_back(
    minutes: int, seed: int, simulation: Simulation, way: Way, autojump_clock: Clock
) -> None:
    random = Random(seed)
    async with simulation.running() as engine:
        lead_through(engine, way)
        await engine.register("acme", **servers("acme", "x"))
        await trio.sleep(random.uniform(0, 600))
        way.dead = True
        await trio.sleep(minutes * 60 + random.uniform(0, 90))
        deliver(engine, 1)
        before = way.dials
        way.dead = False
        back = trio.current_time()
        await engine.event("acme", "messageNew")
        assert trio.current_time() - back <= (120 if minutes == 1 else 60)
        assert way.dials - before <= 3


async def test_accounts_of_one_host_come_back_together(simulation: Simulation, way: Way, autojump_clock: Clock) -> None:
    async with simulation.running() as engine:
        lead_through(engine, way)
        names = [f"acme{number}" for number in range(30)]
        for name in names:
            await engine.register(name, **servers(name, "x"))
        way.dead = True
        await trio.sleep(1234)
        way.dead, way.dials = False, 0

        def connected() -> int:
            accounts = [engine.context.registry.get(name) for name in names]
            return sum(each is not None and each.status.state == "connected" for each in accounts)

        for _ in range(600):
            await trio.sleep(0.1)
            if connected():
                break
        await trio.sleep(5)
        assert connected() == 30
        assert way.dials <= 60
