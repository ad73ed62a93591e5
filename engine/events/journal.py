"""Writes and reads events.

An event is encoded once, inside the transaction that causes it; the webhook body, the websocket frame and the item of
`GET /v1/events` are those same bytes. Besides the members that API clients know (`serviceUrl, account, date, event,
data`), it has a number without gaps (`seq`) and a unique id (`eventId`). The numbers give the order; the first event
after the wall clock was set back says so (`clockStepped`). Events too large for their readers are cut
(`engine.events.size_limit`).

Retention removes the oldest events, even those that a slow reader has not read yet: each page says if that happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec

from engine.events.delivery_counts import DeliveryCounts
from engine.events.hub import Hub
from engine.events.recent import Entry, RecentEvents
from engine.events.size_limit import fit
from engine.isotime import iso
from engine.store import events, timeline
from engine.store.timeline import About
from engine.store.writer import Store, Tx
from engine.world import World

CLOCK_TOLERANCE = 1.0
"""Seconds by which an event may be dated before its predecessor; a larger step means the clock was set back."""
WINDOW = 2000
"""Maximum events examined for one page, including those filtered out; bounds what one page costs other tasks."""
PAGE_BYTES = 256 * 1024
REHEARSED = frozenset(
    {"messageSent", "messageDeliveryError", "messageInDoubt", "messageFailed", "messageCancelled", "messageCopyFailed"}
    | {"messageBounce", "messageComplaint", "messageReply"}
)
"""Events about what became of sent mail."""
SCANNED = 500
"""Up to this many recent events, scanning them in memory is faster than a query for one account."""


class EventPage(NamedTuple):
    """Events in order. The page covers everything up to `position`, including events filtered out.

    `first` is set if the events right after the requested number have been removed: the oldest one still stored.
    """

    entries: list[Entry]
    position: int
    first: int | None


class Journal:
    """The event stream of one store. `service_url` is included in every event."""

    def __init__(self, store: Store, hub: Hub, world: World) -> None:
        self._store = store
        self._hub = hub
        self._world = world
        self._recent = RecentEvents(store.last_seq)
        self.service_url: str | None = None
        self.sandboxes: set[str] = set()
        """Accounts whose mail goes nowhere; the events about what became of it say so (`REHEARSED`)."""
        self._latest = events.latest(store.reader)
        self.counts: Counter[str] = Counter()
        """Events added, by name."""
        self.deliveries = DeliveryCounts(store, world)

    def append(
        self,
        tx: Tx,
        name: str,
        account: str | None,
        data: dict[str, Any],
        scope: dict[str, str] | None = None,
        about: About | None = None,
    ) -> int:
        """Add an event to the transaction and return its number; readers wake after the commit.

        `scope` holds the mailbox of the event (`path`, `specialUse`), as members next to `account`. `about`: also note
        the event in the timeline of this message of the outbox.
        """
        self.extend(tx, name, account, [data], scope)
        if about is not None:
            timeline.note(tx, about, name, self._latest, tx.last_seq)
        return tx.last_seq

    def extend(
        self,
        tx: Tx,
        name: str,
        account: str | None,
        several: Sequence[dict[str, Any]],
        scope: dict[str, str] | None = None,
    ) -> None:
        """The same for any number of events that differ only in their data."""
        if not several:
            return
        if account in self.sandboxes and name in REHEARSED:
            several = [data if "gateway" in data else {**data, "sandbox": True} for data in several]
        now = self._world.now()
        stepped, self._latest = now < self._latest - CLOCK_TOLERANCE, now
        entries: list[Entry] = []
        for data in several:
            seq = tx.next_seq()
            body = self.encode(name, account, data, seq, now, scope, stepped=stepped and not entries)
            entries.append((seq, account, name, body))
        events.insert(tx, account, name, [(seq, body) for seq, _, _, body in entries], now)

        def committed() -> None:
            for entry in entries:
                self._recent.add(entry)
            self.counts[name] += len(entries)
            self._hub.wake()

        tx.after_commit(committed)

    def now(self) -> float:
        """The time that an event added now would have (seconds since 1970)."""
        return self._world.now()

    def encode(
        self,
        name: str,
        account: str | None,
        data: dict[str, Any],
        seq: int,
        now: float,
        scope: dict[str, str] | None = None,
        *,
        stepped: bool = False,
    ) -> bytes:
        """The bytes of an event. `stepped`: the clock was set back before it."""
        event = {
            "serviceUrl": self.service_url,
            "account": account,
            "date": iso(now),
            **(scope or {}),
            "event": name,
            "data": data,
            "seq": seq,
            "eventId": self._world.uuid(),
        }
        if stepped:
            event["clockStepped"] = True
        return fit(event, msgspec.json.encode(event))

    def read(
        self, after: int, limit: int, account: str | None = None, names: Collection[str] | None = None
    ) -> list[tuple[int, str, bytes]]:
        """At most `limit` committed events numbered above `after`, as (seq, name, body)."""
        return events.after(self._store.reader, after, limit, account, names)

    def page(
        self, after: int, limit: int, account: str | None = None, names: Collection[str] | None = None
    ) -> EventPage:
        """The next events above `after`: at most `limit`, from at most `WINDOW` examined, so in bounded time.

        A page may be empty although there are more: continue from its `position` while that is below `last`.
        """
        last = self.last
        if after >= last:
            return EventPage([], after, None)
        first = self.first
        lost = first if after + 1 < first else None
        if lost is not None:
            after = first - 1
        upto = min(last, after + WINDOW)
        recent = self._recent.after(after, upto)
        if recent is not None:
            found, position = _cut(recent, upto, limit, account, names)
            return EventPage(found, position, lost)
        found = events.window(self._store.reader, after, upto, limit, PAGE_BYTES, account, names)
        cut = len(found) == limit or sum(len(entry[3]) for entry in found) > PAGE_BYTES
        return EventPage(found, found[-1][0] if cut else upto, lost)

    def page_before(
        self, before: int, end: int, limit: int, account: str | None = None, names: Collection[str] | None = None
    ) -> tuple[list[Entry], int]:
        """Events numbered below `before` and from `end` on, newest first, and the number from which the page covers.

        At most `limit`, from at most `WINDOW` examined. A page may be empty although there are more: continue from the
        number returned while that is above `end`.
        """
        start = max(end, before - WINDOW)
        found = events.window_before(self._store.reader, before, start, limit, PAGE_BYTES, account, names)
        cut = len(found) == limit or sum(len(entry[3]) for entry in found) > PAGE_BYTES
        return found, found[-1][0] if cut else start

    def of_account(
        self, account: str | None, after: int, upto: int, limit: int, names: Collection[str] | None = None
    ) -> list[Entry]:
        """At most `limit` events of one account (None: the engine's own) numbered above `after` up to `upto`."""
        recent = self._recent.after(max(after, self.first - 1), upto) if upto - after <= SCANNED else None
        if recent is None:
            return events.of_account(self._store.reader, account, after, upto, limit, names)
        return [each for each in recent if each[1] == account and (names is None or each[2] in names)][:limit]

    @property
    def first(self) -> int:
        """The number of the oldest stored event; 1 before the first."""
        return self._store.first_seq

    @property
    def last(self) -> int:
        """The number of the last committed event."""
        return self._store.last_seq

    async def wait_for_more(self, after: int) -> None:
        """Return once an event numbered above `after` is committed. Cancelled: nothing changes."""
        while self._store.last_seq <= after:
            await self._hub.changed.wait()

    async def more(self, after: int) -> bool:
        """The same, but returns False as soon as the engine is about to stop. Cancelled: nothing changes."""
        while self._store.last_seq <= after and not self._hub.stopped:
            await self._hub.changed.wait()
        return not self._hub.stopped


def _cut(
    entries: list[Entry], upto: int, limit: int, account: str | None, names: Collection[str] | None
) -> tuple[list[Entry], int]:
    found: list[Entry] = []
    size = 0
    for entry in entries:
        if (account is None or entry[1] == account) and (names is None or entry[2] in names):
            found.append(entry)
            size += len(entry[3])
            if len(found) == limit or size > PAGE_BYTES:
                return found, entry[0]
    return found, upto
