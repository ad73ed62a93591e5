"""The world of a simulation: it repeats itself from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from engine.dns_records import RecordKind, Records
from engine.world import Srv, StoreThread, World

T = TypeVar("T")


class SeededWorld(World):
    """A world that repeats itself: time follows Trio's clock from a fixed date, everything random from a seed."""

    def __init__(self, seed: int, start: float = 1_800_000_000.0) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self._start = start
        self.started = "the first start"
        """Which start of the machine it is."""

    def now(self) -> float:
        return self._start + trio.current_time()

    def boot(self) -> tuple[str, float]:
        return self.started, trio.current_time()

    def token_bytes(self, n: int) -> bytes:
        return self.random.randbytes(n)

    def store_thread(self) -> StoreThread:
        return _Inline()

    async def in_thread(self, job: Callable[..., T], *arguments: Any) -> T:
        await trio.lowlevel.checkpoint()
        return job(*arguments)

    async def srv(self, name: str) -> list[Srv]:
        return []

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        return []

    async def records(self, name: str, kind: RecordKind, seconds: float) -> Records:
        return Records(exists=False)


class _Inline:
    """Commits without a thread, so that a simulation's clock cannot jump while one is under way."""

    async def run(self, job: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        job()

    def close(self) -> None:
        pass
