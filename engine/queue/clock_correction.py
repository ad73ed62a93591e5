"""Corrects due times written while the wall clock was ahead: no retry is further away than its schedule allows.

The journal stores due times by the wall clock. If the clock was ahead when a time was written and has been set back
since, the message could wait for days. Any time later than its schedule allows is moved to the latest that the schedule
allows, counted from now. This is done at each start and, for doubts and Sent copies, also when the clock is set back
while the engine runs: retries are counted by a monotonic clock then. A time that a caller chose is never changed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from engine.queue import retry
from engine.queue.attempt import Policy
from engine.queue.doubt import PATIENCE
from engine.store import follow_ups, messages, sent_copies
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine")

LOOK_EVERY = 60.0
STEP = 60.0
"""Seconds by which the clock must have been set back to be corrected for."""


class ClockCorrection:
    """Watches the wall clock. `policy` is the schedule of attempts, `copy_schedule` that of Sent copies."""

    def __init__(self, store: Store, policy: Policy, copy_schedule: Sequence[float], world: World) -> None:
        self._store = store
        self._policy = policy
        self._copy_schedule = copy_schedule
        self._world = world

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look every minute. Raises `StorageFailed`. Cancelled: nothing happens."""
        task_status.started()
        offset = self._offset()
        while True:
            await trio.sleep(LOOK_EVERY)
            before, offset = offset, self._offset()
            if offset < before - STEP:
                log.warning("the clock was set back by %.0f seconds", before - offset)
                # Retries are already scheduled by a monotonic clock (`queue/schedule.py`).
                await self._store.commit(self._doubts_and_copies)

    async def put_right(self) -> None:
        """Bring forward what is due too late; call it before the agendas are filled. Raises `StorageFailed`."""
        await self._store.commit(self._everything)

    def _offset(self) -> float:
        return self._world.now() - trio.current_time()

    def _everything(self, tx: Tx) -> None:
        self._doubts_and_copies(tx)
        now = self._world.now()
        for message, attempts in messages.due_after(tx, now):
            wait = retry.longest(self._policy.schedule, attempts, self._policy.jitter) if attempts else 0.0
            # A doubt may wait longer for evidence than for its next attempt.
            messages.bring_forward(tx, message, now + max(wait, PATIENCE if attempts else 0.0), now + wait)

    def _doubts_and_copies(self, tx: Tx) -> None:
        now = self._world.now()
        messages.no_doubt_after(tx, now)
        latest = now + max(self._copy_schedule, default=0.0)
        sent_copies.none_after(tx, latest)
        follow_ups.none_after(tx, latest)
