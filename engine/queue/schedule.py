"""Which message of which account is due when: the queue in memory.

It holds only ids and times, in heaps for each account; the store is the authority, and rebuilds it at a start. An entry
may be out of date, because a message that ends or moves is not removed from the heap: the lane that takes an entry asks
the store whether the message is still due at exactly that time.

A retry counts elapsed seconds, including those while the machine was suspended, and ignores the wall clock. A message
whose caller chose the time follows the wall clock. So a clock that is set neither releases all retries at once nor
delays them.
"""

from __future__ import annotations

import heapq

import trio

from engine.world import LOOK_AGAIN, STEP, World


class Agenda:
    """One account's waiting messages, earliest first. Used by that account's lane."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._after: list[tuple[float, float, int]] = []
        """(`World.elapsed`, due, message): retries and messages to be sent at once."""
        self._at: list[tuple[float, int]] = []
        """(due, message): by the wall clock."""
        self._changed = trio.Event()
        self._offset = 0.0

    def __len__(self) -> int:
        return len(self._after) + len(self._at)

    def add(self, message: int, due: float, *, scheduled: bool = False) -> None:
        """Put `message` on the agenda for `due` (seconds since 1970), or at once if that is past.

        `scheduled`: the caller chose that time, so it goes by the wall clock; otherwise by elapsed seconds from now.
        """
        now = self._world.now()
        # The offset stays until the clocks move apart by `STEP`, so that messages due at the same time get equal keys
        # and go in the order of their ids.
        elapsed = self._world.elapsed()
        if abs(elapsed - now - self._offset) > STEP:
            self._offset = elapsed - now
        if scheduled and due > now:
            heapq.heappush(self._at, (due, message))
            first = self._at[0] == (due, message)
        else:
            entry = (due + self._offset, due, message)
            heapq.heappush(self._after, entry)
            first = self._after[0] == entry
        if first:
            self.poke()

    def clear(self) -> None:
        """Forget every message."""
        self._after.clear()
        self._at.clear()

    def poke(self) -> None:
        """Wake the waiting lane so that it looks again."""
        self._changed.set()
        self._changed = trio.Event()

    def take(self) -> tuple[int, float] | None:
        """The longest overdue message and when it was due; None if none is due."""
        after = self._after[0] if self._after and self._after[0][0] <= self._world.elapsed() else None
        at = self._at[0] if self._at and self._at[0][0] <= self._world.now() else None
        if at is not None and (after is None or at[0] < after[1]):
            heapq.heappop(self._at)
            return at[1], at[0]
        if after is not None:
            heapq.heappop(self._after)
            return after[2], after[1]
        return None

    def is_due(self) -> bool:
        """Whether `take` would return a message."""
        return self._seconds_to_next() <= 0

    async def wait_for_change(self, at_most: float) -> None:
        """Return when an earlier message is added, when `poke` is called, or after `at_most` seconds."""
        changed = self._changed
        with trio.move_on_after(at_most):
            await changed.wait()

    async def wait(self, at_most: float) -> None:
        """Return when a message may be due, when `poke` is called, or after `at_most` seconds."""
        if len(self):
            at_most = min(at_most, max(0.0, self._seconds_to_next()), LOOK_AGAIN)
        await self.wait_for_change(at_most)

    def _seconds_to_next(self) -> float:
        """Seconds until a message is due by the current clocks; infinite if none waits."""
        seconds = self._after[0][0] - self._world.elapsed() if self._after else float("inf")
        if self._at:
            seconds = min(seconds, self._at[0][0] - self._world.now())
        return seconds


class Schedule:
    """The agendas of all accounts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._agendas: dict[str, Agenda] = {}

    def of(self, account: str) -> Agenda:
        """The account's agenda, created on first use."""
        agenda = self._agendas.get(account)
        if agenda is None:
            agenda = self._agendas[account] = Agenda(self._world)
        return agenda

    def poke(self) -> None:
        """Wake every lane so that it looks again."""
        for agenda in self._agendas.values():
            agenda.poke()

    def forget(self, account: str) -> None:
        """Drop a removed account's agenda."""
        self._agendas.pop(account, None)
