"""What a client sends for one request, on its way from the protocol's task to the application."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import trio

INBOX = "engine.inbox"
"""Key in the state of a request's scope: its `Inbox`."""


class Inbox:
    """The messages of ASGI about one request, in their order.

    An application either calls `receive` for each, or has them given to a function of its own as they come, which
    needs neither a task nor a queue.
    """

    def __init__(self) -> None:
        self._early: list[Any] = []
        self._take: Callable[[Any], None] = self._early.append
        self._queue: trio.MemoryReceiveChannel[Any] | None = None

    async def put(self, message: Any) -> None:
        """Pass on a message."""
        self._take(message)

    def give_to(self, take: Callable[[Any], None]) -> None:
        """Have `take` called with each message, first with those that have come already."""
        self._take = take
        for message in self._early:
            take(message)
        self._early.clear()

    def __enter__(self) -> Inbox:
        return self

    def __exit__(self, *_: object) -> None:
        """The application has ended: discard what still comes."""
        self._take = _discard
        self._early.clear()

    async def receive(self) -> Any:
        """The next message."""
        if self._queue is None:
            # Quart reads at once all that comes, and refuses a body that is too long.
            sending, self._queue = trio.open_memory_channel[Any](math.inf)
            self.give_to(sending.send_nowait)
        return await self._queue.receive()


def _discard(_: Any) -> None:
    pass
