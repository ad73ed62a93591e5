"""Counts that cost the hot path an addition of plain numbers; they are read when the metrics are requested.

The code that counts owns its counts, and only Trio's thread touches them, so they need no locks. They start at 0 with
the process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """How many values were at most each of `bounds`, which ascend, and the sum of all values."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def note(self, value: float, times: int = 1) -> None:
        """Count one value, or the same one several times."""
        self._counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def at_most(self) -> list[int]:
        """For each bound, the number of values up to it; last, the number of all values."""
        found, count = [], 0
        for each in self._counts:
            count += each
            found.append(count)
        return found
