"""Wakes the readers of the journal when something new is committed; it holds no events and no list of readers."""

from __future__ import annotations

import trio

PAUSE_PER_READER = 0.001
"""Seconds, some five times what a look and its write cost: however many streams are live, in a burst they take about a
fifth of the processor. A hundred look ten times a second then; the first event after a quiet time goes out at once."""


class Hub:
    """`changed` is set at the next commit that holds an event; take it before looking, wait on it after."""

    def __init__(self) -> None:
        self.changed = trio.Event()
        self.stopped = False
        self.readers = 0

    @property
    def pause(self) -> float:
        """Seconds a live reader leaves between two looks."""
        return self.readers * PAUSE_PER_READER

    def wake(self) -> None:
        """Wake everyone who waits."""
        if self.changed.statistics().tasks_waiting:
            self.changed.set()
            self.changed = trio.Event()

    def stop(self) -> None:
        """The process is about to end: readers who ask for more are told so."""
        self.stopped = True
        self.wake()
