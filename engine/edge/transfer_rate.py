"""How slow a transfer may be: a limit on silence, and a minimum rate over the whole transfer.

Every byte restarts the limit on silence, so that a slow connection gets the time it needs. The minimum rate stops a
peer that moves one byte just before each limit: n bytes may take at most that limit plus n / `slowest` seconds.
"""

from __future__ import annotations

import math

import trio


class TransferRate:
    """One transfer that begins now. `silence` is in seconds, `slowest` in bytes per second; 0 means no limit."""

    def __init__(self, silence: float, slowest: int) -> None:
        self._silence = silence or math.inf
        self._slowest = slowest
        self._begun = trio.current_time()
        self._size = 0

    def moved(self, size: int) -> None:
        """Count `size` more bytes, in either direction."""
        self._size += size

    def moved_on(self, size: int) -> bool:
        """After a deadline: count `size` more bytes and return whether to keep waiting."""
        return size > 0 and trio.current_time() < self._latest()

    def deadline(self) -> float:
        """When to give up, on Trio's clock, unless something moves first."""
        return min(trio.current_time() + self._silence, self._latest())

    def _latest(self) -> float:
        return self._begun + self._silence + self._size / self._slowest if self._slowest else math.inf
