"""How slow a transfer may be: a limit on silence, and a least rate over the whole of it.

Each byte starts the limit on silence anew, so that a slow line gets as long as it needs. A peer that moves one byte
just before each end of that limit is stopped by the rate: n bytes take at most that limit and n / `slowest` seconds.
"""

from __future__ import annotations

import math

import trio


class TransferRate:
    """One transfer, from now on. `silence` in seconds and `slowest` in bytes a second; 0 is no limit."""

    def __init__(self, silence: float, slowest: int) -> None:
        self._silence = silence or math.inf
        self._slowest = slowest
        self._begun = trio.current_time()
        self._size = 0

    def moved(self, size: int) -> None:
        """`size` more bytes came, or went."""
        self._size += size

    def moved_on(self, size: int) -> bool:
        """After a deadline: whether `size` bytes that were not counted before are reason to wait on."""
        return size > 0 and trio.current_time() < self._latest()

    def deadline(self) -> float:
        """When to give up, on Trio's clock, unless something moves before."""
        return min(trio.current_time() + self._silence, self._latest())

    def _latest(self) -> float:
        return self._begun + self._silence + self._size / self._slowest if self._slowest else math.inf
