"""One scrape: figures of the store, counts of the parts, and the text that Prometheus reads.

1. The figures of the store are read in a worker thread, over a connection of its own; scrapes take turns. If they
   cannot be read, the scrape goes without them.
2. The counts are plain numbers that each part keeps; they are taken on Trio's thread, which alone changes them.
3. The text is made in a worker thread.
"""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import trio
from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder

from engine.accounts.registry import Registry
from engine.edge.certificate import Certificate
from engine.events.journal import Journal
from engine.http.call_counts import CallCounts
from engine.http.readiness import unready
from engine.http.shared_limits import SharedLimit
from engine.metrics.families import Families
from engine.metrics.loop_lag import LoopLag
from engine.model.account_states import AccountState
from engine.model.message_states import State
from engine.msa.door import Door
from engine.oauth.token_requests import RefreshCounts
from engine.queue.accept import Intake
from engine.queue.attempt import Attempts
from engine.sinks.service import Sinks
from engine.sinks.sink import Sink
from engine.smtp.verdict import Kind
from engine.store import figures
from engine.store.figures import Figures
from engine.store.writer import Store
from engine.version import VERSION
from engine.webhooks.registry import EndpointRegistry
from engine.world import World

TURN = 5.0
"""Seconds for which a scrape waits for the store's figures of others."""


class Scrape(NamedTuple):
    """The text, and its media type."""

    text: bytes
    media: str


class Sources(NamedTuple):
    """The parts that count. `door` is None if the SMTP door is off."""

    store: Store
    world: World
    registry: Registry
    journal: Journal
    webhooks: EndpointRegistry
    sinks: Sinks
    intake: Intake
    attempts: Attempts
    refreshes: RefreshCounts
    calls: CallCounts
    streams: SharedLimit
    certificates: Mapping[str, Certificate]
    door: Door | None
    stopping: trio.Event


class Metrics:
    """Answers scrapes. `loop_lag` is a service of its own, which only a process runs."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._turn = trio.Lock()
        self._process = ProcessCollector(registry=None)
        self.loop_lag = LoopLag()

    async def scrape(self, accept: str) -> Scrape:
        """All metrics as the text that `accept`, a request's header, asks for. Cancelled: nothing changes."""
        world, families = self._sources.world, Families()
        stored = await self._figures()
        self._add_engine(families, stored is not None)
        self._add_mail(families, stored)
        self._add_events(families, stored)
        encode, media = choose_encoder(accept)
        return Scrape(await world.in_thread(encode, _Collected(families, self._process)), media)

    async def _figures(self) -> Figures | None:
        store, world = self._sources.store, self._sources.world
        try:
            with trio.fail_after(TURN):
                await self._turn.acquire()
        except trio.TooSlowError:
            return None
        try:
            return await world.in_thread(figures.read, store.path, world.now())
        except (sqlite3.Error, OSError):
            return None
        finally:
            self._turn.release()

    def _add_engine(self, families: Families, is_readable: bool) -> None:
        at = self._sources
        families.add("mailbox_engine_info", {(VERSION, platform.python_version(), sqlite3.sqlite_version): 1})
        families.add("mailbox_engine_store_up", not unready(at.store, at.stopping.is_set()))
        families.add("mailbox_engine_store_read_up", is_readable)
        families.histogram("mailbox_engine_commit_seconds", [((), at.store.commits)])
        families.histogram("mailbox_engine_loop_lag_seconds", [((), self.loop_lag.seconds)])
        asked = at.calls.asked()
        calls = {
            (each.method, str(status), each.route): count for each in asked for status, count in each.by_status.items()
        }
        calls |= {("", str(status), ""): count for status, count in at.calls.unmatched.items()}
        families.add("api_call", calls)
        families.histogram(
            "mailbox_engine_http_request_seconds", [((each.method, each.route), each.seconds) for each in asked]
        )
        if at.certificates:
            ends = {(port,): each.ends for port, each in at.certificates.items()}
            families.add("mailbox_engine_certificate_ends_seconds", ends)
        families.add("mailbox_engine_streams", at.streams.taken)
        states = Counter(account.status.state for account in at.registry.every())
        families.add("imap_connections", {(state.value,): states[state] for state in AccountState})
        families.add("oauth2_token_refresh", at.refreshes.by_outcome)
        if at.door is not None:
            counts = at.door.counts
            families.add(
                "mailbox_engine_smtp_door_messages_total",
                {("accepted",): counts.accepted, ("refused",): counts.refused},
            )

    def _add_mail(self, families: Families, stored: Figures | None) -> None:
        at = self._sources
        verdicts = at.attempts.verdicts
        families.add("mailbox_engine_messages_accepted_total", at.intake.accepted)
        families.add("mailbox_engine_attempts_total", {(kind.value,): verdicts[kind] for kind in Kind})
        accepted, posts = verdicts[Kind.ACCEPTED], at.webhooks.posts
        families.add(
            "queues_processed",
            {
                ("submit", "completed"): accepted,
                ("submit", "failed"): verdicts.total() - accepted,
                ("notify", "completed"): posts.accepted.total(),
                ("notify", "failed"): posts.failed.total(),
            },
        )
        fared = at.journal.deliveries
        for name, counts in (("account", fared.accounts), ("domain", fared.domains)):
            families.add(f"mailbox_engine_{name}_recipients_total", counts.outcomes)
            seconds = [((label,), histogram) for label, histogram in counts.seconds.items()]
            families.histogram(f"mailbox_engine_{name}_accept_seconds", seconds)
        waiting, delayed = at.webhooks.jobs()
        sizes = {
            ("notify", "active"): 0,
            ("notify", "waiting"): waiting,
            ("notify", "delayed"): delayed,
            ("documents", "active"): 0,
            ("documents", "waiting"): 0,
            ("documents", "delayed"): 0,
        }
        if stored is not None:
            sizes |= {
                ("submit", "active"): stored.depths[State.SENDING].count,
                ("submit", "waiting"): stored.waiting,
                ("submit", "delayed"): stored.delayed,
            }
            _add_stored(families, stored, at.world.now())
        families.add("queue_size", sizes)

    def _add_events(self, families: Families, stored: Figures | None) -> None:
        at = self._sources
        last, posts = at.journal.last, at.webhooks.posts
        families.add("events", _by_one(at.journal.counts))
        families.add(
            "webhooks",
            {("success", name): count for name, count in posts.accepted.items()}
            | {("fail", name): count for name, count in posts.failed.items()},
        )
        families.histogram("webhook_req", [((), posts.milliseconds)])
        families.add("mailbox_engine_last_event", last)
        _add_lags(families, "webhook", at.webhooks.positions(), last)
        _add_sinks(families, at.sinks.every())
        if stored is not None:
            read = ((each.name if not each.owner else None, each.seq) for each in stored.consumers)
            _add_lags(families, "consumer", read, last)


class _Collected:
    """What an encoder encodes: the engine's families, then those of the process."""

    def __init__(self, *parts: Families | ProcessCollector) -> None:
        self._parts = parts

    def collect(self) -> Iterable[object]:
        """Every family."""
        return [family for part in self._parts for family in part.collect()]


def _add_stored(families: Families, stored: Figures, now: float) -> None:
    families.add("mailbox_engine_messages", {(state.value,): each.count for state, each in stored.depths.items()})
    first = {state: each.first_due for state, each in stored.depths.items()} | {State.HELD: stored.oldest_held}
    families.add(
        "mailbox_engine_oldest_message_seconds",
        {(state.value,): 0.0 if since is None else max(0.0, now - since) for state, since in first.items()},
    )
    families.add(
        "mailbox_engine_waiting_for_decision",
        {
            ("doubt",): stored.undecided,
            ("restored",): stored.depths[State.HELD].count - stored.interrupted,
            ("interrupted",): stored.interrupted,
        },
    )
    families.add(
        "mailbox_engine_store_bytes", {("journal",): stored.journal, ("log",): stored.log, ("spool",): stored.spool}
    )
    families.add("mailbox_engine_disk_free_bytes", stored.free)


def _add_sinks(families: Families, sinks: Sequence[Sink]) -> None:
    at = [((each.name,), each) for each in sinks]
    families.add("mailbox_engine_sink_up", {name: each.state.connected for name, each in at})
    families.add("mailbox_engine_sink_lag_events", {name: each.lag for name, each in at})
    families.add("mailbox_engine_sink_lag_seconds", {name: each.behind for name, each in at})
    families.add("mailbox_engine_sink_published_total", {name: each.state.published for name, each in at})
    families.add("mailbox_engine_sink_failures_total", {name: each.state.failures for name, each in at})
    families.add("mailbox_engine_sink_missed_events_total", {name: each.state.missed for name, each in at})


def _add_lags(families: Families, who: str, positions: Iterable[tuple[str | None, int]], last: int) -> None:
    """`positions`: names (None: of a token for one account), each with its last number."""
    named, largest = dict[tuple[str, ...], float](), 0
    for name, seq in positions:
        lag = max(0, last - seq)
        if name is None:
            largest = max(largest, lag)
        else:
            named[name,] = lag
    families.add(f"mailbox_engine_{who}_lag_events", named)
    families.add(f"mailbox_engine_account_{who}_lag_events", largest)


def _by_one(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): count for name, count in counts.items()}
