"""Wakes the readers of the journal when something new is committed; it holds no events and no list of readers."""

from __future__ import annotations

import trio


class Hub:
    """`changed` is set at the next commit that holds an event; take it before looking, wait on it after."""

    def __init__(self) -> None:
        self.changed = trio.Event()

    def wake(self) -> None:
        """Wake everyone who waits."""
        if self.changed.statistics().tasks_waiting:
            self.changed.set()
            self.changed = trio.Event()
