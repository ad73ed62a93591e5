"""Reserve descriptors, released for connections to the API when the process has no other left."""

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
        """Refill the reserve as far as possible."""
        try:
            while len(self._kept) < SPARE and not self._closed:
                self._kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            pass  # none is free; the end of the next connection calls this again

    def give(self) -> bool:
        """Release one; False if none is left."""
        if not self._kept:
            return False
        os.close(self._kept.pop())
        return True

    def close(self) -> None:
        """Release all of them."""
        self._closed = True
        while self.give():
            pass
