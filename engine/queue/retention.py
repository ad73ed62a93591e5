"""The service that removes ended messages, events and audit entries by age, and by size when the journal is too large.

It works in small steps with a pause after each, so that other commits do not wait noticeably. If the journal is too
large, the oldest records go first, whatever their kind. Unsent messages are never removed, so a journal full of them
stays too large; a warning says so once. Age is counted by a separate clock (`queue/retention_clock.py`), stored in the
journal: a wall clock that is set ahead must not remove everything.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable
from functools import partial

import trio

from engine.config import RetentionConfig as Limits
from engine.errors import StorageBusy, StorageFull, StorageUnavailable
from engine.queue.retention_clock import RetentionClock
from engine.store import delivery_figures, folder_metadata, retention
from engine.store.bodies import Spool
from engine.store.events import latest
from engine.store.retention import SweepPosition
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine")

FIRST_LOOK = 30.0
LOOK_EVERY = 300.0
PAUSE = 0.02
"""Seconds between two steps: 5,000 rows a second at most."""


class Retention:
    """Keeps the journal within `limits`; 0 means no limit."""

    def __init__(self, store: Store, spool: Spool, limits: Limits, world: World) -> None:
        self._store = store
        self._spool = spool
        self._limits = limits
        self._too_large_said = False
        self._world = world
        now = world.now()
        seen = folder_metadata.get(store.reader, folder_metadata.AGE) or latest(store.reader) or now
        self._age = RetentionClock(seen, now, trio.current_time())
        self._jump_said = False

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sweep every five minutes. Raises `StorageFailed`. Cancelled: what was removed stays removed."""
        task_status.started()
        await self._look()
        await trio.sleep(FIRST_LOOK)
        while True:
            await self.sweep()
            await trio.sleep(LOOK_EVERY)

    async def sweep(self) -> None:
        """Remove what is too old and what exceeds the size; log how much was removed."""
        now = await self._look()
        messages = events = entries = 0
        if self._limits.messages:
            messages += await self._remove_messages(now - self._limits.messages)
        if self._limits.events:
            events += await self._remove_all(retention.remove_events, now - self._limits.events)
        if self._limits.audit:
            entries += await self._remove_all(retention.remove_audit, now - self._limits.audit)
        await self._remove_all(delivery_figures.compact, now)
        if self._limits.size:
            more = await self._shrink()
            messages, events, entries = messages + more[0], events + more[1], entries + more[2]
        if messages or events or entries:
            log.info("%d ended messages, %d events and %d audit entries were removed", messages, events, entries)

    async def _look(self) -> float:
        """The time from which ages are counted back; also stored for the next start."""
        moment = self._age.look(self._world.now(), trio.current_time())
        if self._age.ahead and not self._jump_said:
            log.warning(
                "the clock is %.1f hours ahead of the time that the engine has measured, so nothing is removed by age "
                "yet. If the clock is right (the machine was suspended that long), the engine removes a day's worth "
                "each hour",
                self._age.ahead / 3600,
            )
        self._jump_said = self._age.ahead > 0
        value = self._age.value
        with contextlib.suppress(StorageBusy, StorageFull, StorageUnavailable):
            await self._store.admit(lambda tx: folder_metadata.put(tx, folder_metadata.AGE, value))
        return moment

    async def _remove_messages(self, before: float) -> int:
        place: SweepPosition | None = SweepPosition()
        total = 0
        while place is not None:
            removed, place = await self._step_of_messages(before, place)
            total += removed
            await trio.sleep(PAUSE)
        return total

    async def _remove_all(self, remove: Callable[[Tx, float], int], before: float) -> int:
        total = 0
        while removed := await self._store.commit(lambda tx: remove(tx, before)):
            total += removed
            await trio.sleep(PAUSE)
        return total

    async def _shrink(self) -> tuple[int, int, int]:
        """Remove the oldest records, whatever their kind, until the journal is within its size."""
        messages = events = entries = 0
        place = SweepPosition()
        while retention.used(self._store.reader) > self._limits.size:
            ages = [math.inf if age is None else age for age in retention.oldest(self._store.reader)]
            if min(ages) == math.inf:
                if not self._too_large_said:
                    log.warning(
                        "the journal is larger than retention.size, and has nothing left to remove: it holds unsent "
                        "mail"
                    )
                self._too_large_said = True
                break
            kind = ages.index(min(ages))
            if kind == 0:
                removed, following = await self._step_of_messages(math.inf, place)
                place = following or SweepPosition()
                messages += removed
            elif kind == 1:
                events += await self._store.commit(lambda tx: retention.remove_events(tx, math.inf))
            else:
                # Audit entries are few: a hundred at once could span a year.
                younger = min(ages[:2])
                entries += await self._store.commit(partial(retention.remove_audit, before=younger))
            await trio.sleep(PAUSE)
        else:
            self._too_large_said = False
        return messages, events, entries

    async def _step_of_messages(self, before: float, place: SweepPosition) -> tuple[int, SweepPosition | None]:
        return await self._store.commit(lambda tx: retention.remove_messages(tx, self._spool, before, place))
