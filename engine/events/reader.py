"""One reader that follows the journal: where it stands, what it wants, when it looks.

Replay and live are one loop over the same numbers, so there is no seam between them. A reader holds one page at most;
while its client does not take it, nothing else is read for it.
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
        """Have the hub know of this reader while the block runs: the more there are, the less often each looks."""
        self._hub.readers += 1
        try:
            yield
        finally:
            self._hub.readers -= 1

    async def next(self) -> EventPage | None:
        """The next events, or the news that some are lost, as soon as there are any; None when the engine stops.

        Cancelled: nothing is lost, the same page comes again.
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
