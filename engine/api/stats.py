"""What the engine as a whole does."""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from msgspec import UNSET

from engine.api.context import Context
from engine.events.delivery_counts import BOUNDS
from engine.field_errors import invalid
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.isotime import iso
from engine.model.account_states import AccountState
from engine.msa.door import Door
from engine.schema.stats import (
    LONGEST_SPAN,
    AccountDelivery,
    Delivery,
    DeliveryCounts,
    DomainDelivery,
    Queues,
    QueueStats,
    SmtpServerStats,
    Stats,
    StatsQuery,
    TimeToAccept,
)
from engine.store import delivery_figures, events, outbox, suppressions
from engine.store.delivery_figures import DAY, HOUR, HOURLY
from engine.version import VERSION

MOST_NAMED = 50
"""Accounts, and domains, in the answer."""
_SUBMIT = {"messageSent": "submit:success", "messageDeliveryError": "submit:fail"}


@operation("GET", "/v1/stats", access=Access.ALL_ACCOUNTS, scope="api", group="diagnostics", tags=("Settings",))
async def read(context: Context, query: StatsQuery) -> Stats:
    """Read statistics.

    The number of accounts in each state, how full the queues are, what happened recently, and how mail fared: by
    account and by the domain of the recipients, in any span of the last 92 days.
    """
    delivery = await _delivery(context, query)
    states = Counter(account.status.state.value for account in context.registry.every())
    return Stats(
        version=VERSION,
        license="MIT",
        accounts=states.total(),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        arch=platform.machine(),
        counters=_counters(context, query.seconds),
        queues=_queues(context),
        connections={state.value: states[state.value] for state in AccountState},
        delivery=delivery,
        smtp_server=UNSET if context.door is None else _door(context.door),
    )


async def _delivery(context: Context, query: StatsQuery) -> Delivery | None:
    """Raises `Problem` 400 for a span that has no length, or is too long."""
    world, start, end = context.world, query.start, query.end
    last = world.now() if end is None else end.timestamp()
    first = last - DAY if start is None else start.timestamp()
    if not 0 < last - first <= LONGEST_SPAN.total_seconds():
        raise invalid("from", f"must be at most {LONGEST_SPAN.days} days before to, and not after it")
    span = _hours(first, last + 1 if end is None else last, world.now())
    # As addresses are written when they are sent to.
    domain = query.domain and suppressions.key_of(f"x@{query.domain}").rpartition("@")[2]
    try:
        found = await world.in_thread(
            delivery_figures.read, context.store.path, span, query.account, domain, MOST_NAMED
        )
    except (sqlite3.Error, OSError):
        return None
    return Delivery(
        start=iso(float(span.start * HOUR)),
        end=iso(min(float(span.stop * HOUR), max(last, world.now()))),
        total=DeliveryCounts(**_counts(found.total)),
        accounts=tuple(AccountDelivery(account=name, **_counts(counts)) for name, counts in found.accounts),
        domains=tuple(DomainDelivery(domain=name, **_counts(counts)) for name, counts in found.domains),
        other_accounts=found.other_accounts,
        other_domains=found.other_domains,
    )


def _hours(first: float, last: float, now: float) -> range:
    """The hours that a span touches; whole days where the figures of hours may have been added up."""
    start, stop = int(first // HOUR), int(-(-last // HOUR))
    added_up = int(now - HOURLY) // HOUR
    if start < added_up:
        start -= start % 24
    if stop < added_up:
        stop += -stop % 24
    return range(max(0, start), max(0, stop))


def _counts(outcomes: Mapping[str, int]) -> dict[str, Any]:
    """The members of `DeliveryCounts`."""
    found: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    places = [0] * (len(BOUNDS) + 1)
    for outcome, n in outcomes.items():
        kind, _, more = outcome.partition("/")
        found[kind] += n
        if kind == "sent":
            places[int(more)] += n
        elif more:
            severity, _, category = more.partition("/")
            found[severity] += n
            categories[category] += n
    return {
        **{name: found[name] for name in ("sent", "deferred", "failed", "bounced", "hard", "soft")},
        "categories": dict(categories.most_common()),
        "complaints": found["complaint"],
        "replies": found["reply"],
        "time_to_accept": _times(places) if found["sent"] else None,
    }


def _times(places: Sequence[int]) -> TimeToAccept:
    upto = [*accumulate(places)]

    def by(share: float) -> int | None:
        return next((bound for bound, n in zip(BOUNDS, upto, strict=False) if n >= share * upto[-1]), None)

    within = {str(bound): n for bound, n in zip(BOUNDS, upto, strict=False)}
    return TimeToAccept(median=by(0.5), p95=by(0.95), within=within)


def _door(door: Door) -> SmtpServerStats:
    counts = door.counts
    return SmtpServerStats(connections=door.connections, accepted=counts.accepted, refused=counts.refused)


def _counters(context: Context, seconds: int) -> dict[str, int]:
    counted = events.counts_since(context.store.reader, context.world.now() - seconds)
    shown = {f"events:{name}": number for name, number in counted.items()}
    return shown | {name: counted[event] for event, name in _SUBMIT.items() if event in counted}


def _queues(context: Context) -> Queues:
    counts = outbox.counts(context.store.reader, None, context.world.now())
    waiting, delayed = context.webhooks.jobs()
    settings = context.settings.values
    return Queues(
        notify=_queue(0, delayed, waiting, settings.webhooks_paused is True),
        submit=_queue(counts.active, counts.delayed, counts.waiting, settings.queue_paused is True),
        documents=_queue(0, 0, 0, False),
    )


def _queue(active: int, delayed: int, waiting: int, paused: bool) -> QueueStats:
    total = active + delayed + waiting
    return QueueStats(active=active, delayed=delayed, waiting=waiting, paused=0, is_paused=paused, total=total)
