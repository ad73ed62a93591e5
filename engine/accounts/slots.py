"""How many accounts log in at once, so that a start with a thousand of them is no storm.

A slot is a lease: whoever holds it longer than `LEASE` seconds, because a server is slow or silent, goes on without it
and the next in line gets it. So dead servers cannot keep the accounts of live ones waiting. First come, first served.
"""

from __future__ import annotations

from types import TracebackType

import trio

LEASE = 3.0


class LoginSlots:
    """`async with slots:` around a login. One task holds at most one slot at a time."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._leases: dict[trio.lowlevel.Task, float] = {}
        self._line = trio.StrictFIFOLock()
        self._freed = trio.Event()

    async def __aenter__(self) -> None:
        """Wait for a slot. Cancelled: none is taken."""
        async with self._line:
            while len(self._leases) >= self._total:
                self._freed = trio.Event()
                with trio.move_on_at(min(self._leases.values())):
                    await self._freed.wait()
                now = trio.current_time()
                self._leases = {task: end for task, end in self._leases.items() if end > now}
            self._leases[trio.lowlevel.current_task()] = trio.current_time() + LEASE

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the slot back, unless its lease has ended already."""
        self._leases.pop(trio.lowlevel.current_task(), None)
        self._freed.set()
