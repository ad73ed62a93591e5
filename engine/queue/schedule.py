"""Which message of which account is due when: the queue in memory.

It holds only ids and times (the store is the truth and rebuilds it at start), one heap per account. An entry may be out
of date, because messages end or move without being looked for in a heap: whoever takes one asks the store whether it is
still waiting.
"""

from __future__ import annotations

import heapq

import trio

from engine.world import World


class Agenda:
    """One account's waiting messages, earliest first. Used by that account's lane."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._heap: list[tuple[float, int]] = []
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, message: int, due: float) -> None:
        """Have `message` taken at `due` (seconds since 1970), or at once when that is past."""
        heapq.heappush(self._heap, (due, message))
        if self._heap[0][1] == message:
            self.poke()

    def poke(self) -> None:
        """Have whoever waits look again."""
        self._changed.set()
        self._changed = trio.Event()

    def take(self) -> int | None:
        """A message that is due now, the longest overdue first; None when none is."""
        return heapq.heappop(self._heap)[1] if self.is_due() else None

    def is_due(self) -> bool:
        """Whether `take` has something to give."""
        return bool(self._heap) and self._heap[0][0] <= self._world.now()

    async def wait_for_change(self, at_most: float) -> None:
        """Return when something was added in front or `poke` was called, or after `at_most` seconds."""
        changed = self._changed
        with trio.move_on_after(at_most):
            await changed.wait()

    async def wait(self, at_most: float) -> None:
        """Return when a message may be due, when `poke` was called, or after `at_most` seconds."""
        if self._heap:
            at_most = min(at_most, max(0.0, self._heap[0][0] - self._world.now()))
        await self.wait_for_change(at_most)


class Schedule:
    """The agendas of all accounts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._agendas: dict[str, Agenda] = {}

    def of(self, account: str) -> Agenda:
        """The account's agenda, made at first use."""
        agenda = self._agendas.get(account)
        if agenda is None:
            agenda = self._agendas[account] = Agenda(self._world)
        return agenda

    def forget(self, account: str) -> None:
        """Drop a removed account's agenda."""
        self._agendas.pop(account, None)
