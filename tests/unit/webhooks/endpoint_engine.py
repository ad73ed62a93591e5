"""What webhook endpoints need of an engine, with receivers in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from receivers import ReceiverWorld

from engine.config import Network, WebhooksConfig
from engine.egress import Egress
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.model.webhook import EndpointSettings
from engine.silent_hosts import Hosts
from engine.store import database, webhooks
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.webhooks.registry import EndpointRegistry, Made

DAY = 86400.0


URL = "http://hooks.example/in"


class Engine:
    def __init__(self, folder: Path, world: ReceiverWorld, allow_private: bool = True, **settings: Any) -> None:
        self.world = world
        self.store = Store(folder, world)
        self.journal = Journal(self.store, Hub(), world)
        config = WebhooksConfig(**settings)
        self.egress = egress = Egress(Network(allow_private=allow_private), world, Hosts())
        self.webhooks = EndpointRegistry(self.journal, self.store, Vault(bytes(32), world), config, world, egress)

    async def add(self, account: str | None = "a", n: int = 1, name: str = "messageSent") -> None:
        def change(tx) -> None:
            for _ in range(n):
                self.journal.append(tx, name, account, {"accepted": ["x@y.example"]})

        await self.store.commit(change)

    async def make(self, url: str = URL, owner: str | None = None, **members: Any) -> Made:
        return await self.webhooks.create(EndpointSettings(url=url, **members), owner, 0)

    async def done(self, made: Made, within: float = 5.0) -> None:
        """Return when the endpoint has nothing left to do, and that is on disk."""
        await self.until(lambda: self.position(made) == self.journal.last, within)

    def position(self, made: Made) -> int | None:
        """How far it has come by what is on disk; None while a line lags."""
        (row,) = [row for row in webhooks.every(self.store.reader) if row.id == made.id]
        return None if webhooks.lines(self.store.reader, made.id) else row.seq

    async def until(self, condition: Callable[[], bool], within: float = 5.0) -> None:
        with trio.fail_after(within):
            while not condition():  # noqa: ASYNC110 - the clock jumps
                await trio.sleep(within / 1000)


@asynccontextmanager
async def world() -> AsyncIterator[ReceiverWorld]:
    async with trio.open_nursery() as nursery:
        yield ReceiverWorld(nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(folder: Path, world: ReceiverWorld, **settings: Any) -> AsyncIterator[Engine]:
    """An engine on the folder; leaving the block by an exception of the test is a crash without a last word."""
    database.prepare_folder(folder)
    engine = Engine(folder, world, **settings)
    async with trio.open_nursery() as stores, trio.open_nursery() as nursery:
        await stores.start(engine.store.run)
        await nursery.start(engine.webhooks.run)
        yield engine
        nursery.cancel_scope.cancel()
        stores.cancel_scope.cancel()
