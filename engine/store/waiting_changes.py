"""A change that waits for its commit, and long changes that run in slices."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

import outcome
import trio

T = TypeVar("T")

Slices = Generator[None, None, T]
"""A long change, which yields after every few milliseconds of work, and returns its result."""


class WaitingChange(Generic[T]):
    """A change, which returns `T` or, with `slices`, `Slices[T]`. `takes_in`: it accepts new work.

    `done` is set once it is on disk, or has failed; `result` then says which.
    """

    __slots__ = ("change", "done", "result", "slices", "takes_in")

    def __init__(self, change: Callable[[Any], Any], takes_in: bool, slices: bool = False) -> None:
        self.change = change
        self.takes_in = takes_in
        self.slices = slices
        self.done = trio.Event()
        self.result: outcome.Outcome[T] | None = None

    def fail(self, error: BaseException) -> None:
        """Answer with an error."""
        self.result = outcome.Error(error)
        self.done.set()


class Applying(Generic[T]):
    """A run through the steps of a batch; `tx` is what they returned, once they have ended."""

    def __init__(self, steps: Slices[T]) -> None:
        self._steps = steps
        self.tx: T | None = None

    def __iter__(self) -> Iterator[None]:
        self.tx = yield from self._steps


def in_slices(steps: Slices[T]) -> Generator[None, None, outcome.Outcome[T]]:
    """What a change returns or raises. Yields where the change does."""
    while isinstance(step := outcome.capture(next, steps), outcome.Value):
        yield
    return outcome.Value(step.error.value) if isinstance(step.error, StopIteration) else outcome.Error(step.error)
