"""Descriptors of nothing, kept to be given up for connections to the API when the process has no other left."""

from __future__ import annotations

import os

SPARE = 8


class SpareDescriptors:
    """At most `SPARE` descriptors, until `close`."""

    def __init__(self) -> None:
        self._kept: list[int] = []
        self._closed = False
        self.fill()

    def fill(self) -> None:
        """Take back what can be had."""
        try:
            while len(self._kept) < SPARE and not self._closed:
                self._kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            pass  # none can be had now; the next connection that ends tries again

    def give(self) -> bool:
        """Give one up; False where there is none."""
        if not self._kept:
            return False
        os.close(self._kept.pop())
        return True

    def close(self) -> None:
        """Give up all of them."""
        self._closed = True
        while self.give():
            pass
