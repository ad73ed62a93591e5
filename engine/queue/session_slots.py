"""The process's SMTP sessions, shared fairly: lanes get a slot first come, first served.

A slot is for a session that gets on. One that has waited `SLOW` seconds for its server gives its slot to another lane
and goes on without it, so servers that hang cannot take all slots and hold up accounts whose servers work. The limit
is thus one of sessions at work; every lane has one session, so the number of accounts bounds the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

SLOW = 0.5
LOOK_EVERY = 0.1


class SessionSlot:
    """A lane's place among those that send. Made by `Slots.taken`."""

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._since = 0.0
        self._given_up = False

    async def begin(self) -> None:
        """A message begins; waits for a slot again where the last one cost it."""
        if self._given_up:
            await self._limiter.acquire_on_behalf_of(self)
            self._given_up = False
        self._since = trio.current_time()

    def give_up_if_slow(self, now: float) -> None:
        """Let another lane have the slot if the message at hand has taken long."""
        if not self._given_up and now - self._since >= SLOW:
            self._given_up = True
            self._limiter.release_on_behalf_of(self)

    def leave(self) -> None:
        """The lane's turn is over."""
        if not self._given_up:
            self._limiter.release_on_behalf_of(self)


class SessionSlots:
    """All slots. `run` is the service that takes them from the slow."""

    def __init__(self, total: int) -> None:
        self._limiter = trio.CapacityLimiter(total)
        self._taken: set[SessionSlot] = set()
        self._crowded = trio.Event()

    @property
    def wanted(self) -> bool:
        """Whether a lane waits for one."""
        return self._limiter.statistics().tasks_waiting > 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[SessionSlot]:
        """A slot for as long as the block runs. Cancelled while waiting: none is taken."""
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
        """Look again and again while anybody waits, until cancelled."""
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
