"""What the engine as a whole does: accounts, queues, what happened lately."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Filled256, Instant, Request, Response, When

LONGEST_SPAN = timedelta(days=92)
"""For so long the engine keeps the figures of mail."""


class StatsQuery(Request, frozen=True, kw_only=True):
    """How far back to count, and of which mail."""

    seconds: Annotated[
        Annotated[int, Meta(ge=0, le=604_800)],
        Meta(description="The counters cover the last `seconds` seconds.", examples=[3600]),
    ] = 3600
    start: Annotated[
        Instant | None,
        Meta(
            description="`delivery` counts from this time on; the hour that it is in counts whole, or, more than eight "
            "days ago, the day (UTC). Absent: 24 hours before `to`."
        ),
    ] = msgspec.field(name="from", default=None)
    end: Annotated[
        Instant | None,
        Meta(description="`delivery` counts up to this time; the hour that it is in counts whole. Absent: now."),
    ] = msgspec.field(name="to", default=None)
    account: Annotated[
        Filled256 | None, Meta(description="`delivery` counts only mail of this account. Absent: of all.")
    ] = None
    domain: Annotated[
        Filled256 | None,
        Meta(description="`delivery` counts only recipients at this domain. Absent: at all.", examples=["gmail.com"]),
    ] = None

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """The span has a length, and the engine keeps its figures for a while only."""
        start, end = get("start"), get("end")
        if isinstance(start, datetime) and isinstance(end, datetime):
            if end <= start:
                yield "to", "must be later than from"
            elif end - start > LONGEST_SPAN:
                yield "to", f"must be at most {LONGEST_SPAN.days} days later than from"


class TimeToAccept(Response, frozen=True, kw_only=True):
    """How long it took from when a message was taken, or due by its `sendAt`, to the server's yes."""

    median: Annotated[
        int | None,
        Meta(description="Half of the recipients were accepted within so many seconds. `null`: in more than a day."),
    ]
    p95: Annotated[int | None, Meta(description="95 % were. `null`: in more than a day.")]
    within: Annotated[
        dict[str, int],
        Meta(
            description="How many recipients were accepted within 1, 5, 15, 60, 300, 900, 3600, 14400 and 86400 "
            "seconds.",
            examples=[{"1": 40, "5": 41}],
        ),
    ]


class DeliveryCounts(Response, frozen=True, kw_only=True):
    """How mail fared, counted in recipients."""

    sent: Annotated[int, Meta(description="Accepted by the server.", examples=[41])]
    deferred: Annotated[int, Meta(description="Put off by an attempt; each attempt counts.", examples=[3])]
    failed: Annotated[int, Meta(description="Refused for good, or given up.", examples=[1])]
    bounced: Annotated[int, Meta(description="Accepted, and reported as not delivered later.", examples=[1])]
    hard: Annotated[int, Meta(description="Those of `failed` and `bounced` that are permanent.", examples=[2])]
    soft: Annotated[int, Meta(description="Those of `failed` and `bounced` that are not.", examples=[0])]
    categories: Annotated[
        dict[str, int],
        Meta(
            description="`failed` and `bounced` by their reason, as in `messageBounce`; `no_reply`: no server said "
            "why.",
            examples=[{"user_unknown": 2}],
        ),
    ]
    complaints: Annotated[int, Meta(description="Recipients who marked the message as unwanted.", examples=[0])]
    replies: Annotated[int, Meta(description="Replies, automatic ones included.", examples=[5])]
    time_to_accept: Annotated[
        TimeToAccept | None, Meta(description="How long it took until the server accepted. `null`: it accepted none.")
    ]


class AccountDelivery(DeliveryCounts, frozen=True, kw_only=True):
    """The mail of one account."""

    account: Annotated[str, Meta(description="The account; it may have been removed since.", examples=["example"])]


class DomainDelivery(DeliveryCounts, frozen=True, kw_only=True):
    """The mail to one domain."""

    domain: Annotated[
        str,
        Meta(
            description='The domain of the recipients. `""`: those beyond the first 100 domains of an account in an '
            "hour.",
            examples=["gmail.com"],
        ),
    ]


class Delivery(Response, frozen=True, kw_only=True):
    """How mail fared in a span of time, by account and by domain."""

    start: Annotated[When, Meta(description="Counted from then on.")] = msgspec.field(name="from")
    end: Annotated[When, Meta(description="Counted up to then.")] = msgspec.field(name="to")
    total: Annotated[DeliveryCounts, Meta(description="All of it.")]
    accounts: Annotated[
        tuple[AccountDelivery, ...], Meta(description="The 50 accounts with the most of it, the largest first.")
    ]
    domains: Annotated[
        tuple[DomainDelivery, ...], Meta(description="The 50 domains with the most of it, the largest first.")
    ]
    other_accounts: Annotated[int, Meta(description="How many further accounts there are.", examples=[0])]
    other_domains: Annotated[int, Meta(description="How many further domains there are.", examples=[0])]


class QueueStats(Response, frozen=True, kw_only=True):
    """How full a queue is."""

    active: Annotated[int, Meta(description="What is being worked on.", examples=[0])]
    delayed: Annotated[int, Meta(description="What is due later.", examples=[0])]
    waiting: Annotated[int, Meta(description="What is due.", examples=[0])]
    paused: Annotated[int, Meta(description="Always 0: while the queue is paused, it is `waiting`.", examples=[0])]
    is_paused: Annotated[bool, Meta(description="Whether the queue is paused.")]
    total: Annotated[int, Meta(description="All of these.", examples=[0])]


class Queues(Response, frozen=True, kw_only=True):
    """The queues, as `GET /v1/settings/queue/{queue}` counts them."""

    notify: Annotated[QueueStats, Meta(description="Events for webhooks.")]
    submit: Annotated[QueueStats, Meta(description="Mail to be sent.")]
    documents: Annotated[QueueStats, Meta(description="Always empty.")]


class SmtpServerStats(Response, frozen=True, kw_only=True):
    """Counters of the SMTP door since the engine started."""

    connections: Annotated[int, Meta(description="Open connections.", examples=[1])]
    accepted: Annotated[int, Meta(description="Messages queued.", examples=[12])]
    refused: Annotated[int, Meta(description="Messages refused after they arrived.", examples=[0])]


_COUNTS = {
    "sent": 41,
    "deferred": 3,
    "failed": 1,
    "bounced": 1,
    "hard": 2,
    "soft": 0,
    "categories": {"user_unknown": 2},
    "complaints": 0,
    "replies": 5,
    "timeToAccept": {"median": 1, "p95": 5, "within": {"1": 38, "5": 41}},
}


class Stats(Response, frozen=True, kw_only=True):
    """The statistics."""

    EXAMPLE = {
        "version": "0.1.0",
        "license": "MIT",
        "accounts": 3,
        "python": "3.11.2",
        "sqlite": "3.40.1",
        "arch": "x86_64",
        "counters": {"events:messageNew": 4, "submit:success": 2},
        "queues": {
            name: {"active": 0, "delayed": 0, "waiting": 0, "paused": 0, "isPaused": False, "total": 0}
            for name in ("notify", "submit", "documents")
        },
        "connections": {"connected": 2, "authenticationError": 1},
        "smtpServer": {"connections": 1, "accepted": 12, "refused": 0},
        "delivery": {
            "from": "2026-11-27T10:00:00.000Z",
            "to": "2026-11-28T10:13:00.000Z",
            "total": _COUNTS,
            "accounts": [{**_COUNTS, "account": "example"}],
            "domains": [{**_COUNTS, "domain": "gmail.com"}],
            "otherAccounts": 0,
            "otherDomains": 0,
        },
    }

    version: Annotated[str, Meta(description="The engine's version.", examples=["0.1.0"])]
    license: Annotated[str, Meta(description="The engine's licence.", examples=["MIT"])]
    accounts: Annotated[int, Meta(description="The number of accounts.", examples=[3])]
    python: Annotated[str, Meta(description="The version of Python.", examples=["3.11.2"])]
    sqlite: Annotated[str, Meta(description="The version of SQLite.", examples=["3.40.1"])]
    arch: Annotated[str, Meta(description="The machine's architecture.", examples=["x86_64"])]
    counters: Annotated[
        dict[str, int],
        Meta(
            description="What happened recently: `events:` and the name of each event, `submit:success` and "
            "`submit:fail` for attempts. At most the newest 100,000 events are counted.",
            examples=[{"events:messageNew": 4}],
        ),
    ]
    queues: Annotated[Queues, Meta(description="How full the queues are.")]
    connections: Annotated[
        dict[str, int],
        Meta(description="The number of accounts in each `state`.", examples=[{"connected": 2}]),
    ]
    delivery: Annotated[
        Delivery | None,
        Meta(description="How mail fared. `null`: the journal cannot be read now."),
    ]
    smtp_server: Annotated[
        SmtpServerStats | UnsetType,
        Meta(description="The SMTP door (`[msa]` of config.toml). Absent: it is off."),
    ] = UNSET
