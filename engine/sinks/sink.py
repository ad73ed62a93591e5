"""One sink at work: reads the journal as a named consumer and publishes it to its broker.

1. The consumer `sink:NAME` holds the position on disk (`engine.events.consumers`). A new one begins as `begin` says.
2. `_publish_all` connects, asks the broker where to go on, and publishes page by page; a page is confirmed before the
   next one is read, so memory holds one page. The position follows what is confirmed, at most every `KEEP_EVERY`.
3. Whatever goes wrong ends the connection. The next attempt comes after a wait that doubles up to `LONGEST_WAIT` and
   begins after the last confirmed event; what the broker had stored by then, it recognizes.
4. A window that timed out is tried with fewer events, so that a slow line still makes progress.
5. The consumer may be moved or removed through the API; the sink then begins again from there.

A crash affects only this sink. Only a journal that cannot be written ends the process.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec
import trio

from engine.egress import Egress
from engine.errors import EngineError, NetworkError, NetworkKind, StorageFailed, StorageFull, StorageUnavailable
from engine.events.consumers import Consumers, Lease
from engine.events.journal import EventPage, Journal
from engine.events.recent import Entry
from engine.log import concerns
from engine.masking import Masker
from engine.repeated_errors import RepeatedErrors, counted, spoken
from engine.sink_config import PREFIX, SinkConfig
from engine.sinks.broker import BrokerFailed, Session, in_time
from engine.sinks.envelope import Outgoing, outgoing, shortened
from engine.sinks.nats import open_nats
from engine.sinks.redis import open_redis
from engine.store import events
from engine.store.writer import Store
from engine.world import World

log = logging.getLogger("engine.sinks")

PAGE = 500
"""Maximum events of a window."""
BEAT = 30.0
"""Seconds without events after which the broker is asked for a sign of life."""
FIRST_WAIT, LONGEST_WAIT, JITTER = 1.0, 60.0, 0.2
KEEP_EVERY = 0.25
ENVELOPE_ROOM = 1024
"""Octets of the members that CloudEvents adds."""


class SinkState(msgspec.Struct):
    """What a sink has done since the start. `error` is why it does not publish, None while it does."""

    connected: bool = False
    position: int = 0
    published: int = 0
    failures: int = 0
    missed: int = 0
    error: str | None = None


class Sink:
    """One sink. `run` is its service."""

    def __init__(
        self,
        name: str,
        config: SinkConfig,
        journal: Journal,
        consumers: Consumers,
        store: Store,
        egress: Egress,
        world: World,
    ) -> None:
        self.name = name
        self.config = config
        self.state = SinkState()
        self._journal = journal
        self._consumers = consumers
        self._store = store
        self._dial = egress.dialer(restricted=False, clear_text=not config.encrypted)
        self._world = world
        self._consumer = PREFIX + name
        self._limit = PAGE
        self._confirmed = 0
        """The last event that the broker confirmed to this sink; 0: none."""
        self._begun: int | None = None
        """Where this sink began; the events up to there were confirmed before."""
        self._troubles = RepeatedErrors()
        self._masker = Masker((config.login[1], config.token))
        found = consumers.find("", self._consumer)
        self.state.position = self._first_position() if found is None else found.seq

    @property
    def lag(self) -> int:
        """How many events it is behind, of all names."""
        return max(0, self._journal.last - self.state.position)

    @property
    def behind(self) -> float:
        """Seconds since the first event happened that it has not published; 0 if there is none."""
        created = events.created_after(self._store.reader, self.state.position)
        return 0.0 if created is None else max(0.0, self._world.now() - created)

    # What brokers ask about the journal.

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self._journal.last

    def id_of(self, seq: int) -> str | None:
        """The id of an event; None if it is no longer kept."""
        found = self._journal.read(seq - 1, 1)
        if not found or found[0][0] != seq:
            return None
        return outgoing((seq, None, *found[0][1:]), cloudevents=False).id

    async def run(self) -> None:
        """Publish until cancelled. Raises `StorageFailed` if the journal cannot be written.

        Cancelled: events under way may or may not reach the broker; the next run finds out or repeats them.
        """
        concerns(sink=self.name)
        failures = 0
        while True:
            before = self._confirmed
            error = await self._attempt()
            if error is None or self._confirmed > before:
                failures = 0
            if error is not None:
                self._failed(error)
                failures += 1
                wait = min(FIRST_WAIT * 2.0 ** min(failures - 1, 16), LONGEST_WAIT)
                await trio.sleep(wait * (1 + JITTER * (2 * self._world.random.random() - 1)))

    async def _attempt(self) -> Exception | None:
        """Publish until something ends that: the error; None if the consumer was moved or removed."""
        try:
            position = await self._consumers.start("", self._consumer, self._first_position())
        except (StorageFull, StorageUnavailable) as error:
            return error
        self._begun = position if self._begun is None else min(self._begun, position)
        self.state.position = position
        lease = self._consumers.take("", self._consumer)
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_at, lease.displaced, nursery.cancel_scope)
                nursery.start_soon(lease.keep, _pause)
                await self._publish_all(position, lease)
        except* StorageFailed:
            raise
        except* EngineError as group:
            failure = _first(group)
        except* Exception as crash:
            log.exception("the sink crashed and is restarted")
            failure = _first(crash)
        finally:
            self.state.connected = False
            await lease.close()
        return failure

    async def _publish_all(self, position: int, lease: Lease) -> None:
        opened: Callable[..., Awaitable[Session]] = open_nats if self.config.is_nats else open_redis
        session = await in_time(opened(self._dial, self.config, self._world))
        try:
            resumed = max(self._begun or 0, await in_time(session.resume(position, self._confirmed, self)))
            if resumed < position:
                await self._go_back(position, resumed)
                return
            self._note(resumed, lease)
            self._connected()
            while True:
                with trio.move_on_after(BEAT) as quiet:
                    await self._journal.wait_for_more(self.state.position)
                if quiet.cancelled_caught:
                    await in_time(session.beat())
                    continue
                page = self._journal.page(self.state.position, self._limit, None, self.config.names)
                if page.first is not None:
                    self._tell_gap(page.first)
                await self._publish(session, page, lease)
                await trio.lowlevel.checkpoint()
        finally:
            await session.close()

    async def _publish(self, session: Session, page: EventPage, lease: Lease) -> None:
        def confirmed(seq: int) -> None:
            self._confirmed = seq
            self._note(seq, lease)

        together = [self._outgoing(entry, session.most) for entry in page.entries]
        if together:
            before = self.state.position
            try:
                await in_time(session.publish(together, confirmed))
            except NetworkError as error:
                if error.kind is NetworkKind.TIMEOUT:
                    self._limit = max(1, len(together) // 4)
                raise
            finally:
                self.state.published += sum(before < each.seq <= self.state.position for each in together)
            self._limit = min(PAGE, self._limit * 2)
            self._recovered()
        self._note(page.position, lease)

    def _outgoing(self, entry: Entry, most: int) -> Outgoing:
        cloudevents = self.config.format == "cloudevents"
        room = most - ENVELOPE_ROOM * cloudevents
        if len(entry[3]) > room:
            log.warning("the broker takes at most %d octets: texts and lists are cut", most, extra={"event": entry[0]})
            entry = shortened(entry, room)
            if len(entry[3]) > room:
                raise BrokerFailed(f"event {entry[0]} cannot be cut to the {most} octets that it takes at most")
        return outgoing(entry, cloudevents=cloudevents)

    def _note(self, seq: int, lease: Lease) -> None:
        self.state.position = max(self.state.position, seq)
        lease.note(seq)

    async def _go_back(self, position: int, seq: int) -> None:
        """The broker has lost what it had confirmed. Moving the consumer ends this attempt; the next begins there."""
        log.error(
            "%s has lost the events after %d, which it had confirmed: they are published again", self.config.place, seq
        )
        await self._consumers.move("", self._consumer, seq)

    def _first_position(self) -> int:
        return self._journal.last if self.config.begin == "newest" else self._journal.first - 1

    # What is told.

    def _connected(self) -> None:
        self.state.connected = True
        if self._journal.last <= self.state.position:
            self._recovered()

    def _recovered(self) -> None:
        self.state.error = None
        if (over := self._troubles.over(self._world.elapsed())) is not None:
            log.info("%s takes events again after %s", self.config.place, spoken(over.seconds))

    def _failed(self, error: Exception) -> None:
        self.state.failures += 1
        text = str(error) if isinstance(error, EngineError) else f"internal error: {error!r}"
        self.state.error = self._masker.mask(text).rstrip(".")
        more = self._troubles.failed(self.state.error, self._world.elapsed())
        if more is not None:
            log.warning(
                "%s takes no events%s: %s. It is %s behind; nothing is lost while [retention] keeps them",
                self.config.place,
                more,
                self.state.error,
                counted(self.lag, "event"),
            )

    def _tell_gap(self, first: int) -> None:
        missed = first - self.state.position - 1
        self.state.missed += missed
        log.error(
            "[retention] removed the events %d to %d before they could be published: the broker never gets them",
            self.state.position + 1,
            first - 1,
        )
        self.state.position = first - 1


async def _end_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _pause(seq: int) -> None:
    """Let a position wait for later ones: each costs a commit."""
    await trio.sleep(KEEP_EVERY)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
