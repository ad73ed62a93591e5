"""Which message of which lane is due when: the queue in memory.

It holds only ids and times, in heaps for each account; the store is the authority, and rebuilds it at a start. An entry
may be out of date, because a message that ends or moves is not removed from the heap: the lane that takes an entry asks
the store whether the message is still due at exactly that time.

A retry counts elapsed seconds, including those while the machine was suspended, and ignores the wall clock. A message
whose caller chose the time follows the wall clock. So a clock that is set neither releases all retries at once nor
delays them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Set
from functools import partial

import trio

from engine.model.message import LaneId
from engine.world import LOOK_AGAIN, STEP, World


class Agenda:
    """One lane's waiting messages, earliest first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._after: list[tuple[float, float, int, str]] = []
        """(`World.elapsed`, due, message, account): retries and messages to be sent at once."""
        self._at: list[tuple[float, int, str]] = []
        """(due, message, account): by the wall clock."""
        self._changed = trio.Event()
        self._offset = 0.0
        self._put_back: Callable[[], None] = self.poke

    def __len__(self) -> int:
        return len(self._after) + len(self._at)

    def add(self, message: int, due: float, account: str = "", *, scheduled: bool = False) -> None:
        """Put `message` of `account` on the agenda for `due` (seconds since 1970), or at once if that is past.

        `scheduled`: the caller chose that time, so it goes by the wall clock; otherwise by elapsed seconds from now.
        """
        now = self._world.now()
        # The offset stays until the clocks move apart by `STEP`, so that messages due at the same time get equal keys
        # and go in the order of their ids.
        elapsed = self._world.elapsed()
        if abs(elapsed - now - self._offset) > STEP:
            self._offset = elapsed - now
        if scheduled and due > now:
            heapq.heappush(self._at, (due, message, account))
            first = self._at[0] == (due, message, account)
        else:
            entry = (due + self._offset, due, message, account)
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
        entry = self._pop()
        return None if entry is None else entry[:2]

    def put_back(self) -> None:
        """Undo the latest `take` that returned a message, which stays due whatever the clock has been set to."""
        self._put_back()

    def _pop(self) -> tuple[int, float, str] | None:
        after = self._after[0] if self._after and self._after[0][0] <= self._world.elapsed() else None
        at = self._at[0] if self._at and self._at[0][0] <= self._world.now() else None
        if at is not None and (after is None or at[0] < after[1]):
            heapq.heappop(self._at)
            self._put_back = partial(heapq.heappush, self._at, at)
            return at[1], at[0], at[2]
        if after is not None:
            heapq.heappop(self._after)
            self._put_back = partial(heapq.heappush, self._after, after)
            return after[2], after[1], after[3]
        return None

    def is_due(self) -> bool:
        """Whether `take` would return a message."""
        return self._seconds_to_next() <= 0

    @property
    def seconds_to_next(self) -> float:
        """Seconds until a message is due, at most 0 if one is; infinite if none waits."""
        return self._seconds_to_next()

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


class GatewayAgenda(Agenda):
    """The waiting messages of a gateway: those that are due are taken from one account after another.

    So an account with many messages delays another's by one message. The messages of the accounts in `paused` stay.
    """

    def __init__(self, world: World, paused: Set[str]) -> None:
        super().__init__(world)
        self._paused = paused
        self._ready: dict[str, list[tuple[float, int]]] = {}
        """(due, message) of what is due, by account, in the order of their turns."""

    def __len__(self) -> int:
        return super().__len__() + sum(map(len, self._ready.values()))

    def clear(self) -> None:
        """Forget every message."""
        super().clear()
        self._ready.clear()

    def take(self) -> tuple[int, float] | None:
        """The longest overdue message of the account whose turn it is, and when it was due; None if none is due."""
        self._sort()
        account = self._next_account()
        if account is None:
            return None
        entries = self._ready.pop(account)
        due, message = heapq.heappop(entries)
        if entries:
            self._ready[account] = entries
        return message, due

    def _seconds_to_next(self) -> float:
        self._sort()
        return 0.0 if self._next_account() is not None else super()._seconds_to_next()

    def _next_account(self) -> str | None:
        return next((account for account in self._ready if account not in self._paused), None)

    def _sort(self) -> None:
        """Move what is due to its account."""
        while (entry := self._pop()) is not None:
            message, due, account = entry
            heapq.heappush(self._ready.setdefault(account, []), (due, message))


class Schedule:
    """The agendas of all lanes: one for each account, one for each gateway."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._agendas: dict[str, Agenda] = {}
        self._gateways: dict[str, GatewayAgenda] = {}
        self._paused: set[str] = set()

    def of(self, account: str) -> Agenda:
        """The account's agenda, created on first use."""
        agenda = self._agendas.get(account)
        if agenda is None:
            agenda = self._agendas[account] = Agenda(self._world)
        return agenda

    def of_lane(self, lane: LaneId) -> Agenda:
        """The agenda of an account's or a gateway's lane."""
        return self._through(lane.gateway) if lane.gateway else self.of(lane.account)

    def add(
        self, message: int, due: float, *, account: str, gateway: str | None = None, scheduled: bool = False
    ) -> None:
        """Put a message on the agenda of its lane; `due` and `scheduled` as for `Agenda.add`."""
        agenda = self.of(account) if gateway is None else self._through(gateway)
        agenda.add(message, due, account, scheduled=scheduled)

    def pause(self, account: str, paused: bool) -> None:
        """Pause an account's messages on the agendas of gateways, or resume them; wake the lanes concerned."""
        (self._paused.add if paused else self._paused.discard)(account)
        self.of(account).poke()
        for agenda in self._gateways.values():
            agenda.poke()

    def poke(self) -> None:
        """Wake every lane so that it looks again."""
        for agenda in (*self._agendas.values(), *self._gateways.values()):
            agenda.poke()

    def forget(self, account: str) -> None:
        """Drop a removed account's agenda. Its messages on the agendas of gateways go when they are taken."""
        self._agendas.pop(account, None)
        self._paused.discard(account)

    def _through(self, gateway: str) -> GatewayAgenda:
        agenda = self._gateways.get(gateway)
        if agenda is None:
            agenda = self._gateways[gateway] = GatewayAgenda(self._world, self._paused)
        return agenda
