"""Keeps some file descriptors from dials, for the API, the store and the spool.

At the limit dials are refused, with one line in the log a minute, rather than all else that needs a descriptor.
"""

from __future__ import annotations

import errno
import logging
import os
import resource

import trio

from engine.errors import NetworkError, NetworkKind

log = logging.getLogger("engine.world")

KEPT_SHARE, KEPT_LEAST, KEPT_AT_MOST = 8, 32, 4
"""Dials leave 1/8 of all descriptors free, at least 32 but at most 1/4, for the API, the store and the spool."""
SAY_EVERY = 60.0


class DescriptorReserve:
    """Keeps dials from using the last descriptors."""

    def __init__(self) -> None:
        self._said_at: float | None = None
        self._refused = 0

    def refuse_dial(self, number: int, host: str, port: int) -> None:
        """Raise `NetworkError` EMFILE if a descriptor with this number is reserved."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit == resource.RLIM_INFINITY or number < limit - _kept(limit):
            return
        self._refused += 1
        now = trio.current_time()
        if self._said_at is None or now - self._said_at >= SAY_EVERY:
            log.warning(
                "%d connections were refused: nearly all of the %d file descriptors are in use; raise the limit "
                "(ulimit -n, LimitNOFILE) or register fewer accounts",
                self._refused,
                limit,
            )
            self._said_at, self._refused = now, 0
        raise NetworkError(NetworkKind.CONNECT, "EMFILE", f"connect EMFILE {host}:{port}")


def _kept(limit: int) -> int:
    return min(max(limit // KEPT_SHARE, KEPT_LEAST), limit // KEPT_AT_MOST)


def next_descriptor() -> int:
    """The number of the next descriptor: the lowest free one, so at least that many are open."""
    try:
        number = os.dup(0)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return -1
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.close(number)
    return number
