"""Limits how many connections are set up at the same time at one server, even when a thousand accounts start.

A slot is a lease: a login that takes longer, because the server is slow or silent, continues without its slot, and the
next in line gets it. So logins that hang do not delay others. A lease lasts at most `LEASE` seconds, less at a server
that usually answers sooner. Slots are given first come, first served. After a server says "later" or hangs up, the
number of slots is halved; each successful login then adds one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from engine.errors import LoginRefused, NetworkError, NetworkKind
from engine.silent_hosts import Via

LEASE = 3.0
SHORTEST_LEASE = 0.1
LEASE_PER_LOGIN = 2.0
"""A lease lasts this many times as long as a login usually takes at the server."""
KEPT = 1000
"""Maximum servers remembered while no login is under way at them."""


class LoginSlots:
    """At most `per_server` slots for each server. Servers share nothing, so none waits because another is silent."""

    def __init__(self, per_server: int) -> None:
        self._per_server = per_server
        self._servers: dict[tuple[str, int, Via], _Gate] = {}

    @asynccontextmanager
    async def at(self, host: str, port: int, via: Via = None) -> AsyncIterator[None]:
        """Wait for a slot to set up a connection. Cancelled: no slot is taken.

        A server counts separately for each proxy (`via`), so that a proxy that hangs delays only its own users.
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
    """The slots of one server: at most `most` at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._width = most
        self._usual: float | None = None
        self.leases: dict[object, float] = {}
        self._line = trio.StrictFIFOLock()
        self._freed = trio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot, and return it unless its lease has already ended."""
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
        """Halve the number of slots."""
        self._width = max(1, self._width // 2)

    def widen(self, seconds: float) -> None:
        """Add one slot after a login that succeeded in `seconds`."""
        self._width = min(self._most, self._width + 1)
        self._usual = seconds if self._usual is None else 0.8 * self._usual + 0.2 * seconds
