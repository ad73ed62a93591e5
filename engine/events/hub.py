"""Wakes the readers of the journal when a new event is committed; holds no events and no list of readers."""

from __future__ import annotations

import trio

PAUSE_PER_READER = 0.001
"""Seconds of pause for each live reader, about five times the cost of one look and its write.

So in a burst all streams together use about a fifth of one core; a hundred readers each look ten times a second. The
first event after a quiet time goes out at once.
"""


class Hub:
    """`changed` is set by the next commit that contains an event: get it before looking, wait on it after."""

    def __init__(self) -> None:
        self.changed = trio.Event()
        self.stopped = False
        self.readers = 0

    @property
    def pause(self) -> float:
        """Seconds that a live reader pauses between two looks."""
        return self.readers * PAUSE_PER_READER

    def wake(self) -> None:
        """Wake all waiting readers."""
        if self.changed.statistics().tasks_waiting:
            self.changed.set()
            self.changed = trio.Event()

    def stop(self) -> None:
        """Tell readers that the process is about to end."""
        self.stopped = True
        self.wake()
