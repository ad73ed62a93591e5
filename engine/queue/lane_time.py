"""How long a lane will wait, and time that is moved forward for it: only sandbox accounts have that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from engine.queue.lane_backoff import BackoffReason, LaneBackoff
from engine.queue.quota import SendingQuota
from engine.queue.rate_limit import SendingRate
from engine.queue.schedule import Agenda
from engine.world import World


class LaneTime:
    """The waits of one lane. `is_able`: whether only time can keep it from sending."""

    def __init__(
        self,
        agenda: Agenda,
        backoff: LaneBackoff,
        pace: SendingRate,
        quota: SendingQuota | None,
        is_able: Callable[[], bool],
        world: World,
    ) -> None:
        self._agenda = agenda
        self._backoff = backoff
        self._pace = pace
        self._quota = quota
        self._is_able = is_able
        self._world = world
        self._is_working = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """While the block runs, the lane is at a message."""
        self._is_working = True
        try:
            yield
        finally:
            self._is_working = False

    @property
    def sends_in(self) -> float:
        """Seconds until the lane sends by itself, at most 0: it does now; infinite if no time makes it send."""
        if self._is_working:
            return 0.0
        if not self._is_able():
            return math.inf
        now = trio.current_time()
        waits = [self._agenda.seconds_to_next, self._backoff.seconds(self._world.elapsed())]
        waits.append(self._pace.ready_at(now) - now)
        if self._quota is not None:
            waits.append(self._quota.ready_at(now) - now)
        return max(waits)

    @property
    def is_cut_off(self) -> bool:
        """Whether the lane waits because its server cannot be reached."""
        return self._backoff.reason is BackoffReason.CONNECTION

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds count as passed; the caller moves the times of the journal and of the agenda."""
        self._backoff.pass_time(seconds)
        self._pace.pass_time(seconds)
        if self._quota is not None:
            self._quota.pass_time(seconds)
        self._agenda.poke()
