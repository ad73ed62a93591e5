"""Limits work that needs several times the size of a request in memory: decoding and composing.

Short pieces of it take turns, a few at a time. A large request is one piece from its first decoded byte until its
message is on disk, and only one goes at a time, so that no more than one is ever in memory, however many arrive.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import trio

SHORT_AT_ONCE = 2


class _Turn:
    ended = False


_TURN: ContextVar[_Turn | None] = ContextVar("turn of a large request", default=None)


class HeavyWork:
    """The turns of one engine."""

    def __init__(self) -> None:
        self._short = trio.Semaphore(SHORT_AT_ONCE)
        self._large = trio.Semaphore(1)

    @asynccontextmanager
    async def short(self) -> AsyncIterator[None]:
        """Wait for a turn, unless the block is part of a large request that has one."""
        turn = _TURN.get()
        if turn is not None and not turn.ended:
            yield
            return
        async with self._short:
            yield

    @asynccontextmanager
    async def large(self) -> AsyncIterator[None]:
        """Wait for the turn of a large request, in order of arrival.

        A request that had one, and let the next begin, may wait for another.
        """
        await self._large.acquire()
        turn = _Turn()
        before = _TURN.set(turn)
        try:
            yield
        finally:
            _TURN.reset(before)
            self._end(turn)

    def go_on_slowly(self) -> bool:
        """Let the next large request begin: this one is about to wait for a mail server. Returns whether it did."""
        turn = _TURN.get()
        if turn is None or turn.ended:
            return False
        self._end(turn)
        return True

    def _end(self, turn: _Turn) -> None:
        if not turn.ended:
            turn.ended = True
            self._large.release()
