"""Every metric: its name, kind and labels, and what it means. The page about them is held against this.

No label has an unbounded number of values: none is an address or a path, and of accounts and domains of recipients only
the first 20 have a value of their own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class MetricKind(StrEnum):
    """A counter whose name does not end with `_total` is `UNTYPED`: Prometheus reserves that name for counters."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    UNTYPED = "untyped"


class Metric(NamedTuple):
    """One metric. `meaning` is one sentence or two."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    meaning: str


_COUNTER, _GAUGE, _HISTOGRAM, _UNTYPED = MetricKind

PEER_METRICS = (
    Metric(
        "api_call",
        _UNTYPED,
        ("method", "statusCode", "route"),
        "Requests answered, by operation (`route` is its path with the variables in braces) and status. Both `method` "
        "and `route` are empty where no operation was found: 404, 405, 426.",
    ),
    Metric("events", _UNTYPED, ("event",), "Events added to the journal, by name."),
    Metric("imap_connections", _GAUGE, ("status",), "Accounts, by `state`."),
    Metric(
        "oauth2_token_refresh",
        _UNTYPED,
        ("status", "provider", "statusCode"),
        "Access tokens asked for with a refresh token or an assertion. `status` is `success` or `failure`; "
        "`statusCode` is the provider's answer, 0 if there was none.",
    ),
    Metric(
        "queue_size",
        _GAUGE,
        ("queue", "state"),
        "What `GET /v1/stats` says of the queues: `submit` counts messages, `notify` events and accounts whose "
        "webhooks wait, `documents` is always empty. `state` is `active` (being sent), `waiting` (due) or `delayed`.",
    ),
    Metric(
        "queues_processed",
        _UNTYPED,
        ("queue", "status"),
        "Attempts that ended, by queue: `completed` if at least one recipient, or the receiver, accepted; else "
        "`failed`.",
    ),
    Metric("webhook_req", _HISTOGRAM, (), "Milliseconds that a post to a receiver took."),
    Metric("webhooks", _UNTYPED, ("status", "event"), "Events posted; `status` is `success` or `fail`."),
)
"""Named and labelled as EmailEngine's, whose dashboards then work."""

OWN_METRICS = (
    Metric("mailbox_engine_info", _GAUGE, ("version", "python", "sqlite"), "Always 1."),
    Metric(
        "mailbox_engine_store_up",
        _GAUGE,
        (),
        "1 if new work would be written, as `/ready` says; else 0.",
    ),
    Metric(
        "mailbox_engine_store_read_up",
        _GAUGE,
        (),
        "1 if the figures of the store could be read for this scrape; if 0, they are absent.",
    ),
    Metric(
        "mailbox_engine_store_bytes",
        _GAUGE,
        ("file",),
        "Octets of the `journal`, of its write-ahead `log`, and of the bodies in the `spool`.",
    ),
    Metric("mailbox_engine_disk_free_bytes", _GAUGE, (), "Octets that the disk of the data folder has left."),
    Metric(
        "mailbox_engine_commit_seconds",
        _HISTOGRAM,
        (),
        "Seconds from COMMIT until the journal was synced. Many changes share a commit.",
    ),
    Metric("mailbox_engine_messages_accepted_total", _COUNTER, (), "Messages taken into the queue."),
    Metric("mailbox_engine_messages", _GAUGE, ("state",), "Messages that have not ended, by state."),
    Metric(
        "mailbox_engine_oldest_message_seconds",
        _GAUGE,
        ("state",),
        "Seconds for which the message that is overdue longest has been due, 0 if none is; for `held`, since the "
        "oldest was accepted.",
    ),
    Metric(
        "mailbox_engine_waiting_for_decision",
        _GAUGE,
        ("reason",),
        "Messages that wait for a person: `doubt` (it is unknown whether it arrived, and `onDoubt` is `hold`), "
        "`restored` (found unsent in a restored backup), `interrupted` (the engine ended ten times while it sent the "
        "message).",
    ),
    Metric(
        "mailbox_engine_attempts_total",
        _COUNTER,
        ("verdict",),
        "Attempts to send a message, by what came of them: `accepted`, `later`, `rejected`, `login_refused`, `doubt`.",
    ),
    Metric(
        "mailbox_engine_account_recipients_total",
        _COUNTER,
        ("account", "outcome"),
        "Recipients by what became of them, of the 20 busiest accounts and `other`: `sent`, `deferred`, `failed_hard`, "
        "`failed_soft`, `bounced_hard`, `bounced_soft`, `complaint`, `reply`.",
    ),
    Metric(
        "mailbox_engine_domain_recipients_total",
        _COUNTER,
        ("domain", "outcome"),
        "The same by the domain of the recipients: the 20 busiest, and `other`.",
    ),
    Metric(
        "mailbox_engine_account_accept_seconds",
        _HISTOGRAM,
        ("account",),
        "Seconds from when a message was taken, or due by its `sendAt`, until the server accepted it, for each "
        "recipient of these accounts.",
    ),
    Metric(
        "mailbox_engine_domain_accept_seconds",
        _HISTOGRAM,
        ("domain",),
        "The same by the domain of the recipients.",
    ),
    Metric("mailbox_engine_last_event", _GAUGE, (), "The number of the last event."),
    Metric(
        "mailbox_engine_consumer_lag_events",
        _GAUGE,
        ("consumer",),
        "Events that a named consumer has not acknowledged. Consumers of tokens for one account are counted together, "
        "as the next metric.",
    ),
    Metric(
        "mailbox_engine_account_consumer_lag_events",
        _GAUGE,
        (),
        "The largest lag of a consumer of tokens for one account, counted in events of all accounts.",
    ),
    Metric(
        "mailbox_engine_webhook_lag_events",
        _GAUGE,
        ("webhook",),
        "Events that a webhook endpoint has not looked at, by its id. Those of tokens for one account are counted "
        "together, as the next metric.",
    ),
    Metric(
        "mailbox_engine_account_webhook_lag_events",
        _GAUGE,
        (),
        "The largest lag of an endpoint of tokens for one account.",
    ),
    Metric(
        "mailbox_engine_sink_up",
        _GAUGE,
        ("sink",),
        "1 while the sink is connected to its broker and logged in; else 0.",
    ),
    Metric(
        "mailbox_engine_sink_lag_events",
        _GAUGE,
        ("sink",),
        "Events that the broker of a sink has not confirmed.",
    ),
    Metric(
        "mailbox_engine_sink_lag_seconds",
        _GAUGE,
        ("sink",),
        "Seconds since the oldest of them happened, 0 if there is none.",
    ),
    Metric("mailbox_engine_sink_published_total", _COUNTER, ("sink",), "Events that the broker has confirmed."),
    Metric(
        "mailbox_engine_sink_failures_total",
        _COUNTER,
        ("sink",),
        "Connections that could not be made, broke, or ended because the broker refused an event.",
    ),
    Metric(
        "mailbox_engine_sink_missed_events_total",
        _COUNTER,
        ("sink",),
        "Events that retention removed before they could be published.",
    ),
    Metric(
        "mailbox_engine_loop_lag_seconds",
        _HISTOGRAM,
        (),
        "Seconds by which a task that was due, once a second, began late.",
    ),
    Metric(
        "mailbox_engine_http_request_seconds",
        _HISTOGRAM,
        ("method", "route"),
        "Seconds from the head of a request until its answer began, by operation.",
    ),
    Metric(
        "mailbox_engine_certificate_ends_seconds",
        _GAUGE,
        ("port",),
        "When the certificate of a port ends, in seconds since 1970: `http` or `msa`. Absent without one.",
    ),
    Metric("mailbox_engine_streams", _GAUGE, (), "Open streams: websockets, server-sent events, long polls."),
    Metric(
        "mailbox_engine_smtp_door_messages_total",
        _COUNTER,
        ("result",),
        "Messages at the SMTP door: `accepted` or `refused`. Absent if it is off.",
    ),
)
"""The engine's own."""

PROCESS_METRICS = (
    Metric("process_cpu_seconds_total", _COUNTER, (), "Seconds of CPU time, user and system."),
    Metric("process_max_fds", _GAUGE, (), "Most file descriptors that may be open."),
    Metric("process_open_fds", _GAUGE, (), "Open file descriptors."),
    Metric("process_resident_memory_bytes", _GAUGE, (), "Resident memory, in octets."),
    Metric("process_start_time_seconds", _GAUGE, (), "When the process began, in seconds since 1970."),
    Metric("process_virtual_memory_bytes", _GAUGE, (), "Virtual memory, in octets."),
)
"""Those every Prometheus client has, from `/proc`."""

METRICS = {each.name: each for each in (*PEER_METRICS, *OWN_METRICS, *PROCESS_METRICS)}
"""All of them by name."""
