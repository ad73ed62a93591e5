"""What the engine as a whole does."""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter

from msgspec import UNSET

from engine.api.context import Context
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.model.account_states import AccountState
from engine.msa.door import Door
from engine.schema.stats import Queues, QueueStats, SmtpServerStats, Stats, StatsQuery
from engine.store import events, outbox
from engine.version import VERSION

_SUBMIT = {"messageSent": "submit:success", "messageDeliveryError": "submit:fail"}


@operation("GET", "/v1/stats", access=Access.ALL_ACCOUNTS, scope="api", group="diagnostics", tags=("Settings",))
async def read(context: Context, query: StatsQuery) -> Stats:
    """Read statistics.

    The number of accounts in each state, how full the queues are, and what happened recently.
    """
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
        smtp_server=UNSET if context.door is None else _door(context.door),
    )


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
