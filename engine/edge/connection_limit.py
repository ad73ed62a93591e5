"""Limits the number of simultaneous connections.

1. They may use half of the descriptors that are free at the start; the other half is for mail servers and files. The
   last few descriptors are closed to them, and to mail servers too (`world.py`), so that store and spool keep working.
2. Beyond the limit, a new connection replaces the oldest one that has never sent anything, so that silent connections
   do not keep clients out. Used connections stay, so that strangers cannot displace a client's persistent ones.
3. If the process runs out of descriptors below the limit, idle connections that have been used give way too.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from engine.edge.spare_descriptors import SpareDescriptors

KEPT_FOR_FILES, KEPT_SHARE = 48, 16
"""Descriptors for files alone, but at most 1/`KEPT_SHARE` of all. There are fewer threads that write files."""


class ConnectionLimit:
    """All connections. `most` is their limit; from descriptor `highest` on, each new one displaces another."""

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
        """Count one connection while the block runs; yields whether there is room for it."""
        high = descriptor >= self.highest
        self.present += 1
        self._high += high
        try:
            if self._high:
                # While a connection has such a descriptor, any lower one that is free was freed by giving way. Above
                # the limit, used connections do not give way; the new one is then answered and closed at once.
                yield self.give_way(only_mute=self.present > self.most)
            else:
                yield self.present <= self.most or self.give_way(only_mute=True)
        finally:
            self.present -= 1
            self._high -= high

    def idle(self, scope: trio.CancelScope, *, mute: bool = False) -> None:
        """Mark the connection that `scope` cancels as idle; `mute`: it has never sent anything."""
        self._idle[scope] = None
        if mute:
            self._mute[scope] = None

    def heard(self, scope: trio.CancelScope) -> None:
        """Note that it has begun to send something."""
        self._mute.pop(scope, None)

    def busy(self, scope: trio.CancelScope) -> None:
        """Note that it is no longer idle, or has ended."""
        self._idle.pop(scope, None)
        self._mute.pop(scope, None)

    def close(self, stream: trio.SocketStream) -> None:
        """Close a connection; if a spare descriptor is missing, take its place before anything else can."""
        stream.socket.close()
        self.spare.fill()

    def give_way(self, *, only_mute: bool = False) -> bool:
        """Close the connection that has been idle for longest, mute ones first; False if there is none."""
        oldest = next(iter(self._mute or ({} if only_mute else self._idle)), None)
        if oldest is None:
            return False
        self.busy(oldest)
        oldest.cancel()
        return True


def _open() -> int:
    """How many descriptors this process has open; 0 if the system does not say."""
    try:
        return len(os.listdir("/dev/fd")) - 1  # without that of the listing itself
    except OSError:
        return 0
