"""Which message of which account is due when: the queue in memory.

It holds only ids and times (the store is the truth and rebuilds it at start), in heaps of each account. An entry may be
out of date, because messages end or move without being looked for in a heap: whoever takes one asks the store whether
the message is still waiting for that very moment.

A retry is due after so many seconds, those for which the machine was suspended included, and otherwise whatever becomes
of the wall clock; a message sent at a time its caller chose follows the wall clock. So a stepped clock starts no storm
and holds nothing back.
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
        """(`World.elapsed`, due, message): retries and what is to go at once."""
        self._at: list[tuple[float, int]] = []
        """(due, message): by the wall clock."""
        self._changed = trio.Event()
        self._offset = 0.0

    def __len__(self) -> int:
        return len(self._after) + len(self._at)

    def add(self, message: int, due: float, *, scheduled: bool = False) -> None:
        """Have `message` taken at `due` (seconds since 1970), or at once when that is past.

        `scheduled`: its caller chose that moment, so the wall clock counts; else it is so many seconds from now.
        """
        now = self._world.now()
        # Kept as long as it holds: what is due at the same moment then has the same place, and its number decides.
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
        """Have whoever waits look again."""
        self._changed.set()
        self._changed = trio.Event()

    def take(self) -> tuple[int, float] | None:
        """A message that is due now, the longest overdue first, and when it was due; None when none is."""
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
        """Whether `take` has something to give."""
        return self._seconds_to_next() <= 0

    async def wait_for_change(self, at_most: float) -> None:
        """Return when something was added in front or `poke` was called, or after `at_most` seconds."""
        changed = self._changed
        with trio.move_on_after(at_most):
            await changed.wait()

    async def wait(self, at_most: float) -> None:
        """Return when a message may be due, when `poke` was called, or after `at_most` seconds."""
        if len(self):
            at_most = min(at_most, max(0.0, self._seconds_to_next()), LOOK_AGAIN)
        await self.wait_for_change(at_most)

    def _seconds_to_next(self) -> float:
        """Seconds until a message is due by the clocks as they stand; infinite when none waits."""
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
        """The account's agenda, made at first use."""
        agenda = self._agendas.get(account)
        if agenda is None:
            agenda = self._agendas[account] = Agenda(self._world)
        return agenda

    def poke(self) -> None:
        """Have every lane look again."""
        for agenda in self._agendas.values():
            agenda.poke()

    def forget(self, account: str) -> None:
        """Drop a removed account's agenda."""
        self._agendas.pop(account, None)
