"""The process's SMTP sessions, shared fairly: lanes get a slot first come, first served.

A slot is for a session that makes progress. If other lanes wait, a lane that has spent `SLOW` seconds on one message
loses its slot and finishes that message without it, so servers that hang cannot occupy all slots. The limit thus covers
only sessions that make progress; the number of accounts bounds the rest, since each lane has one session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

SLOW = 0.5
LOOK_EVERY = 0.1


class SessionSlot:
    """One lane's slot. Made by `SessionSlots.taken`."""

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._since = 0.0
        self._given_up = False

    async def begin(self) -> None:
        """Note that a message begins; if the last one cost the lane its slot, wait for another."""
        if self._given_up:
            await self._limiter.acquire_on_behalf_of(self)
            self._given_up = False
        self._since = trio.current_time()

    def give_up_if_slow(self, now: float) -> None:
        """Release the slot if the current message has taken at least `SLOW` seconds."""
        if not self._given_up and now - self._since >= SLOW:
            self._given_up = True
            self._limiter.release_on_behalf_of(self)

    def leave(self) -> None:
        """Release the slot at the end of the turn, unless it was already lost."""
        if not self._given_up:
            self._limiter.release_on_behalf_of(self)


class SessionSlots:
    """All slots. The service `run` takes slots from slow lanes."""

    def __init__(self, total: int) -> None:
        self._limiter = trio.CapacityLimiter(total)
        self._taken: set[SessionSlot] = set()
        self._crowded = trio.Event()

    @property
    def wanted(self) -> bool:
        """Whether a lane waits for a slot."""
        return self._limiter.statistics().tasks_waiting > 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[SessionSlot]:
        """Hold a slot while the block runs. Cancelled while waiting: no slot is taken."""
        slot = SessionSlot(self._limiter)
        if self._limiter.available_tokens <= 0:
            self._take_from_the_slow()
            self._crowded.set()
        await self._limiter.acquire_on_behalf_of(slot)
        self._taken.add(slot)
        try:
            yield slot
        finally:
            self._taken.discard(slot)
            slot.leave()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Every `LOOK_EVERY` seconds while a lane waits, take the slots of slow lanes. Runs until cancelled."""
        task_status.started()
        while True:
            await self._crowded.wait()
            self._crowded = trio.Event()
            while self.wanted:
                await trio.sleep(LOOK_EVERY)
                self._take_from_the_slow()

    def _take_from_the_slow(self) -> None:
        for slot in self._taken:
            slot.give_up_if_slow(trio.current_time())
