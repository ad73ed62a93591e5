"""Trio's scheduler from a seed.

Trio shuffles the tasks that are ready so that code cannot rely on their order. It has no public switch for doing so
from a seed; the private one used here is what pytest-trio uses under Hypothesis. `test_determinism.py` notices when it
moves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio
from trio._core import _run as scheduler
from trio.testing import MockClock


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    allowed, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = allowed  # type: ignore[misc]
        scheduler._r.setstate(state)


def run(main: Callable[[], Awaitable[None]], seed: int, steps: Steps) -> None:
    """Run `main` with the scheduler and the clock in our hands; time jumps whenever nothing is to be done."""
    with _seeded(seed):
        trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[steps])


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks and calls back at one of them: that is between any two awaits there are."""

    def __init__(self) -> None:
        self._left = 0
        self._call: Callable[[], None] | None = None

    def after(self, steps: int, call: Callable[[], None]) -> None:
        """Call `call` once, after a number of scheduler steps."""
        self._left, self._call = steps, call

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Trio's callback."""
        if self._call is not None:
            self._left -= 1
            if self._left <= 0:
                call, self._call = self._call, None
                call()
