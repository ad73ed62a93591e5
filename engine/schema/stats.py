"""What the engine as a whole does: accounts, queues, what happened lately."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Request, Response


class StatsQuery(Request, frozen=True, kw_only=True):
    """How far back to count."""

    seconds: Annotated[
        Annotated[int, Meta(ge=0, le=604_800)],
        Meta(description="The counters cover the last `seconds` seconds.", examples=[3600]),
    ] = 3600


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
    smtp_server: Annotated[
        SmtpServerStats | UnsetType,
        Meta(description="The SMTP door (`[msa]` of config.toml). Absent: it is off."),
    ] = UNSET
