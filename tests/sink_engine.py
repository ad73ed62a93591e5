"""What a sink needs of an engine, and a world in which brokers are scripted in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trio.testing
from seeded_world import SeededWorld

from engine.config import Network
from engine.egress import Egress
from engine.errors import NetworkError, NetworkKind
from engine.events.consumers import Consumers
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.silent_hosts import Hosts
from engine.sink_config import SinkConfig
from engine.sinks.service import Sinks
from engine.sinks.sink import Sink
from engine.store import database, events
from engine.store.writer import Store
from engine.world import World

Serve = Callable[[trio.abc.Stream], Awaitable[None]]


class BrokerWorld(SeededWorld):
    """Every host is the one scripted broker, at a private address. `up`: whether it accepts connections."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self.serve: Serve | None = None
        self.up = True
        self.nursery: trio.Nursery | None = None
        self.dials = 0

    async def dial(self, host, port, choose=None, local=()):
        await trio.lowlevel.checkpoint()
        self.dials += 1
        if choose is not None:
            choose(["10.0.0.1"])
        if not self.up:
            raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", f"connect ECONNREFUSED {host}:{port}")
        ours, theirs = trio.testing.memory_stream_pair()
        assert self.nursery is not None and self.serve is not None
        self.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            assert self.serve is not None
            await self.serve(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)


class Engine:
    """A journal, and the sinks of a configuration."""

    def __init__(self, folder: Path, world: World, configs: dict[str, SinkConfig]) -> None:
        self.world = world
        self.store = Store(folder, world)
        self.journal = Journal(self.store, Hub(), world)
        self.consumers = Consumers(self.store, world)
        egress = Egress(Network(), world, Hosts())

        def make(name: str, config: SinkConfig) -> Sink:
            return Sink(name, config, self.journal, self.consumers, self.store, egress, world)

        self.sinks = Sinks(make, configs)

    @property
    def sink(self) -> Sink:
        """The only sink, or the first."""
        return self.sinks.every()[0]

    async def add(self, account: str | None = "a", n: int = 1, name: str = "messageSent", text: str = "") -> None:
        def change(tx) -> None:
            for _ in range(n):
                self.journal.append(tx, name, account, {"response": text})

        await self.store.commit(change)

    async def forget(self, upto: int) -> None:
        """What retention does."""
        await self.store.commit(lambda tx: events.remove(tx, upto))

    def position(self, name: str = "bus") -> int | None:
        """What is on disk."""
        found = self.consumers.find("", f"sink:{name}")
        return None if found is None else found.seq

    async def until(self, condition: Callable[[], bool], within: float = 300.0) -> None:
        with trio.fail_after(within):
            while not condition():  # noqa: ASYNC110 - the clock jumps
                await trio.sleep(0.05)

    async def done(self, within: float = 300.0) -> None:
        """Return when everything is published, and that is on disk."""
        await self.until(lambda: self.position() == self.journal.last, within)


@asynccontextmanager
async def running(folder: Path, world: World, **configs: SinkConfig) -> AsyncIterator[Engine]:
    """An engine with these sinks; on the same folder again, it goes on."""
    database.prepare_folder(folder)
    engine = Engine(folder, world, configs)
    async with trio.open_nursery() as outside:
        if isinstance(world, BrokerWorld):
            world.nursery = outside
        await outside.start(engine.store.run)
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.sinks.run)
            yield engine
            nursery.cancel_scope.cancel()
        outside.cancel_scope.cancel()
