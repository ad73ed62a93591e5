"""The clock that decides when records are old enough to remove: the wall clock, as far as it can be trusted. Pure.

A wall clock set ahead by hours looks just like an engine that was stopped for hours. So this clock counts the time it
has seen pass, across restarts. If the wall clock is more than `JUMP` ahead, this clock catches up by one day for each
hour that the wall clock stays ahead. So a clock that is wrong for minutes removes nothing, and a long stop is made up.
"""

from __future__ import annotations

JUMP = 3 * 3600.0
"""Seconds by which the wall clock may be ahead of the time seen to pass before it counts as having been set."""
PATIENCE = 3600.0
DAY = 86400.0


class RetentionClock:
    """`seen` is this clock's reading in the last run, `wall` the wall clock (both seconds since 1970).

    `clock` is a monotonic clock.
    """

    def __init__(self, seen: float, wall: float, clock: float) -> None:
        self.value = seen
        self.ahead = 0.0
        """Seconds by which the wall clock is ahead and not trusted."""
        self._clock = clock
        self._ahead_since = clock
        self.look(wall, clock)

    def look(self, wall: float, clock: float) -> float:
        """The time from which ages are counted back; never later than the wall clock."""
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
