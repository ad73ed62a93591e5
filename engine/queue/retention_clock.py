"""The time by which records are old enough to go: the wall clock, as far as it can be believed. Pure.

A wall clock that is set ahead by hours looks just like an engine that was stopped for so long. So the age is the time
that was seen to pass, kept over restarts; where the wall clock is further ahead than `JUMP`, it follows by a day for
each hour that the clock stays there. A clock that is wrong for minutes removes nothing, a long stop is caught up with.
"""

from __future__ import annotations

JUMP = 3 * 3600.0
"""Seconds by which the wall clock may be ahead of what was seen to pass before it counts as set."""
PATIENCE = 3600.0
DAY = 86400.0


class RetentionClock:
    """`seen` is the age of the last run in seconds since 1970, `wall` the wall clock, `clock` one that only runs."""

    def __init__(self, seen: float, wall: float, clock: float) -> None:
        self.value = seen
        self.ahead = 0.0
        """Seconds by which the wall clock is not believed."""
        self._clock = clock
        self._ahead_since = clock
        self.look(wall, clock)

    def look(self, wall: float, clock: float) -> float:
        """The moment to count back from; never later than the wall clock."""
        self.value += clock - self._clock
        self._clock = clock
        ahead = wall - self.value
        if ahead <= JUMP:
            self.value = max(self.value, wall)
            self.ahead = 0.0
        elif not self.ahead:
            self.ahead, self._ahead_since = ahead, clock
        elif clock - self._ahead_since >= PATIENCE:
            self.value += min(DAY, ahead)
            self.ahead, self._ahead_since = wall - self.value, clock
        return min(self.value, wall)
