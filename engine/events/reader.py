"""One reader that follows the journal: its position, its filter, and when it looks.

Replay and live events come from one loop over the same numbers, so none is lost or repeated between them. A reader
holds at most one page; until its client has taken that, it reads nothing more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import trio

from engine.events.hub import Hub
from engine.events.journal import EventPage, Journal

PAGE = 200


class Reader:
    """Reads events numbered above `position`, of one account or some names if given."""

    def __init__(
        self,
        journal: Journal,
        hub: Hub,
        position: int,
        account: str | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        self._journal = journal
        self._hub = hub
        self._account = account
        self._names = names
        self._not_before = 0.0
        self.position = position

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count this reader at the hub while the block runs: the more readers, the less often each looks."""
        self._hub.readers += 1
        try:
            yield
        finally:
            self._hub.readers -= 1

    async def next(self) -> EventPage | None:
        """Wait for the next events, or for the news that some were removed; None if the engine is about to stop.

        Cancelled: nothing is lost; the next call returns the same page.
        """
        while not self._hub.stopped:
            page = self._journal.page(self.position, PAGE, self._account, self._names)
            await trio.lowlevel.checkpoint()
            self.position = page.position
            if page.entries or page.first is not None:
                return page
            if self._journal.last > self.position:
                continue
            self._not_before = trio.current_time() + self._hub.pause
            if not await self._journal.more(self.position):
                break
            if trio.current_time() < self._not_before:
                await trio.sleep_until(self._not_before)
        return None
