"""The connections at once: at most half of the descriptors, which leaves the others to mail servers and files.

Where there are more, the connection that has been idle for longest is closed, so that clients that only sit there keep
out no other, and one that has never said anything goes first.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from engine.api.spare import Spare


class Crowd:
    """All connections. `most` is how many there may be."""

    def __init__(self) -> None:
        self.most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self.present = 0
        self.spare = Spare()
        self._idle: dict[trio.CancelScope, None] = {}

    @contextmanager
    def one_more(self) -> Iterator[bool]:
        """Count one connection for the length of the block; whether there is room for it."""
        self.present += 1
        try:
            yield self.present <= self.most or self.give_way()
        finally:
            self.present -= 1

    def idle(self, scope: trio.CancelScope) -> None:
        """The connection that `scope` cancels is of use to nobody from now on."""
        self._idle[scope] = None

    def busy(self, scope: trio.CancelScope) -> None:
        """It is of use again, or has ended."""
        self._idle.pop(scope, None)

    def close(self, stream: trio.SocketStream) -> None:
        """Close a connection, and keep its descriptor where a spare one is missing, before anything else takes it."""
        stream.socket.close()
        self.spare.fill()

    def give_way(self) -> bool:
        """Close the connection that has been idle for longest; False where none is idle."""
        oldest = next(iter(self._idle), None)
        if oldest is None:
            return False
        self.busy(oldest)
        oldest.cancel()
        return True
