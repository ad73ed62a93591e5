"""Ends a wait for the server by cancelling the wait itself: cheaper than a task that watches an event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Wake:
    """Ends the waits of one session, that under way and all later ones, once it is set."""

    def __init__(self) -> None:
        self._is_set = False
        self._scope: trio.CancelScope | None = None

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """End the wait; may be repeated."""
        self._is_set = True
        if self._scope is not None:
            self._scope.cancel()

    @contextmanager
    def ending(self, until: float) -> Iterator[None]:
        """Cancel the block, and leave it, once this is set or Trio's time is `until`. Only one block at a time."""
        with trio.CancelScope(deadline=until) as scope:
            self._scope = scope
            if self._is_set:
                scope.cancel()
            try:
                yield
            finally:
                self._scope = None
