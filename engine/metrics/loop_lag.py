"""How late tasks begin: what blocks Trio's thread delays everything else in the process."""

from __future__ import annotations

import trio

from engine.counting import Histogram

EVERY = 1.0
"""Seconds between two looks."""


class LoopLag:
    """Sleeps again and again and notes how late it woke. `run` is its service."""

    def __init__(self) -> None:
        self.seconds = Histogram((0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled."""
        task_status.started()
        while True:
            due = trio.current_time() + EVERY
            await trio.sleep_until(due)
            self.seconds.note(trio.current_time() - due)
