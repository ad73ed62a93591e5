"""How many connections are set up at once at one server: a start with a thousand accounts is no storm there.

A slot is a lease: what takes longer than that, because a server is slow or silent, goes on without its slot and the
next in line gets it. A lease lasts `LEASE` seconds, less at a server that mostly answers sooner, so that logins that
hang keep nobody waiting. First come, first served. A server that says "later", or hangs up, is given half as many at
once, and one more after each login that works.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from engine.errors import LoginRefused, NetworkError, NetworkKind
from engine.hosts import Via

LEASE = 3.0
SHORTEST_LEASE = 0.1
LEASE_PER_LOGIN = 2.0
"""How many times as long as a login usually takes at a server a lease lasts there."""
KEPT = 1000
"""Servers that are remembered while nothing is under way at them."""


class LoginSlots:
    """`per_server` at one server at once. Servers share nothing, so that none waits for another one's silence."""

    def __init__(self, per_server: int) -> None:
        self._per_server = per_server
        self._servers: dict[tuple[str, int, Via], _Gate] = {}

    @asynccontextmanager
    async def at(self, host: str, port: int, via: Via = None) -> AsyncIterator[None]:
        """Wait for a slot for setting up a connection. Cancelled: none is taken.

        Through each proxy (`via`) a server is another one: a proxy that hangs keeps none of those waiting who do not
        use it.
        """
        key = (host.lower(), port, via)
        gate = self._servers.setdefault(key, _Gate(self._per_server))
        self._servers[key] = self._servers.pop(key)
        try:
            async with gate.slot():
                began = trio.current_time()
                yield
                gate.widen(trio.current_time() - began)
        except (LoginRefused, NetworkError) as error:
            if error.temporary if isinstance(error, LoginRefused) else error.kind is NetworkKind.CLOSED:
                gate.narrow()
            raise
        finally:
            for other in [each for each, idle in self._servers.items() if not idle.leases][: len(self._servers) - KEPT]:
                del self._servers[other]


class _Gate:
    """Lets `most` through at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._width = most
        self._usual: float | None = None
        self.leases: dict[object, float] = {}
        self._line = trio.StrictFIFOLock()
        self._freed = trio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One slot, given back unless its lease has ended already."""
        mine = object()
        async with self._line:
            while len(self.leases) >= self._width:
                self._freed = trio.Event()
                with trio.move_on_at(min(self.leases.values())):
                    await self._freed.wait()
                now = trio.current_time()
                self.leases = {task: end for task, end in self.leases.items() if end > now}
            self.leases[mine] = trio.current_time() + self._lease
        try:
            yield
        finally:
            self.leases.pop(mine, None)
            self._freed.set()

    @property
    def _lease(self) -> float:
        if self._usual is None:
            return LEASE
        return min(max(LEASE_PER_LOGIN * self._usual, SHORTEST_LEASE), LEASE)

    def narrow(self) -> None:
        """Half as many at once."""
        self._width = max(1, self._width // 2)

    def widen(self, seconds: float) -> None:
        """One took so many seconds and went well."""
        self._width = min(self._most, self._width + 1)
        self._usual = seconds if self._usual is None else 0.8 * self._usual + 0.2 * seconds
