"""Writing and reading events.

An event is encoded once, inside the transaction that causes it; the webhook body, the websocket frame and the item of
`GET /v1/events` are those same bytes. It carries its number (`seq`, gapless) and an id of its own (`eventId`) beside
the members API clients know: `serviceUrl, account, date, event, data`. The numbers are the order; where the wall clock
was set back in between, the first event after it says so (`clockStepped`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from engine.events.hub import Hub
from engine.isotime import iso
from engine.store import events
from engine.store.writer import Store, Tx
from engine.world import World

CLOCK_TOLERANCE = 1.0
"""Seconds by which a date may lie before that of the event before it; more means the clock was set back."""


class Journal:
    """The event stream of one store. `service_url` is stamped into every event from now on."""

    def __init__(self, store: Store, hub: Hub, world: World) -> None:
        self._store = store
        self._hub = hub
        self._world = world
        self.service_url: str | None = None
        self._latest = events.latest(store.reader)

    def append(self, tx: Tx, name: str, account: str | None, data: dict[str, Any]) -> int:
        """Add an event to the transaction at hand and return its number; readers wake once it is on disk."""
        seq, now = tx.next_seq(), self._world.now()
        event = {
            "serviceUrl": self.service_url,
            "account": account,
            "date": iso(now),
            "event": name,
            "data": data,
            "seq": seq,
            "eventId": self._world.uuid(),
        }
        if now < self._latest - CLOCK_TOLERANCE:
            event["clockStepped"] = True
        self._latest = now
        events.insert(tx, seq, account, name, msgspec.json.encode(event), now)
        tx.after_commit(self._hub.wake)
        return seq

    def read(
        self, after: int, limit: int, account: str | None = None, names: Collection[str] | None = None
    ) -> list[tuple[int, str, bytes]]:
        """At most `limit` committed events numbered above `after`, as (seq, name, body)."""
        return events.after(self._store.reader, after, limit, account, names)

    def bounds(self) -> tuple[int, int]:
        """The first and last number there is; (0, 0) while there is none."""
        return events.bounds(self._store.reader)

    @property
    def last(self) -> int:
        """The number of the last committed event."""
        return self._store.last_seq

    async def wait_for_more(self, after: int) -> None:
        """Return once an event numbered above `after` is committed. Cancelled: nothing happens."""
        while self._store.last_seq <= after:
            await self._hub.changed.wait()
