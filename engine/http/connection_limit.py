"""The connections at once: at most half of the descriptors that are free at the start, which leaves the others to mail
servers and files.

None takes the last few, which mail servers do not get either (`world.py`): the store and the spool work on.

Where there are more, one that has never said anything is closed for the newest, the oldest first: who only sits there
keeps out nobody. One that was of use stays, so that strangers cannot drive a caller's kept connections out. Only where
the process has hardly a descriptor left though there are fewer connections than that do those give way too.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from engine.http.spare_descriptors import SpareDescriptors

KEPT_FOR_FILES, KEPT_SHARE = 48, 16
"""Descriptors that are for files alone, at most this part of all. Threads that write files are fewer."""


class ConnectionLimit:
    """All connections. `most` is how many there may be, `highest` the descriptor from which on they make room."""

    def __init__(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.most = max(0, limit - _open()) // 2
        self.highest = limit - min(KEPT_FOR_FILES, limit // KEPT_SHARE)
        self.present = 0
        self._high = 0
        self.spare = SpareDescriptors()
        self._idle: dict[trio.CancelScope, None] = {}
        self._mute: dict[trio.CancelScope, None] = {}

    @contextmanager
    def one_more(self, descriptor: int) -> Iterator[bool]:
        """Count one connection for the length of the block; whether there is room for it."""
        high = descriptor >= self.highest
        self.present += 1
        self._high += high
        try:
            if self._high:
                # All below were taken when that one came; what is free there now was given up for one of those since.
                # Where there are too many connections anyway, those take the last ones, and leave at once.
                yield self.give_way(only_mute=self.present > self.most)
            else:
                yield self.present <= self.most or self.give_way(only_mute=True)
        finally:
            self.present -= 1
            self._high -= high

    def idle(self, scope: trio.CancelScope, *, mute: bool = False) -> None:
        """The connection that `scope` cancels is of use to nobody now; `mute`: it has never said anything."""
        self._idle[scope] = None
        if mute:
            self._mute[scope] = None

    def heard(self, scope: trio.CancelScope) -> None:
        """It has begun to say something."""
        self._mute.pop(scope, None)

    def busy(self, scope: trio.CancelScope) -> None:
        """It is of use again, or has ended."""
        self._idle.pop(scope, None)
        self._mute.pop(scope, None)

    def close(self, stream: trio.SocketStream) -> None:
        """Close a connection, and keep its descriptor where a spare one is missing, before anything else takes it."""
        stream.socket.close()
        self.spare.fill()

    def give_way(self, *, only_mute: bool = False) -> bool:
        """Close the connection that has been idle for longest, a mute one first; False where there is none."""
        oldest = next(iter(self._mute or ({} if only_mute else self._idle)), None)
        if oldest is None:
            return False
        self.busy(oldest)
        oldest.cancel()
        return True


def _open() -> int:
    """How many descriptors this process has open; 0 where the system does not say."""
    try:
        return len(os.listdir("/dev/fd")) - 1  # one is that of the listing
    except OSError:
        return 0
