"""The outbox: every submission, and where its delivery stands for the message and for each recipient.

A message's `state` sums up those of its recipients. An entry is kept for the retention time after its message ended, so
that a message that was sent can still be looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.explain import Explain
from engine.schema.fields import Address, Filled256, Instant, Off, Request, Response, When
from engine.schema.paging import Page, PageQuery
from engine.schema.submit import OnDoubt

MessageState = Literal["queued", "sending", "deferred", "in_doubt", "held", "sent", "failed", "cancelled"]
WaitingKind = Literal[
    "schedule",
    "retry",
    "turn",
    "login",
    "connection",
    "rateLimit",
    "provider",
    "quota",
    "paused",
    "smtp",
    "gateway",
    "evidence",
    "decision",
    "release",
]
QueueId = Annotated[
    str, Meta(min_length=1, description="The message's id in the outbox.", examples=["1a20313426c0f27d36e"])
]
"""A message in a path."""
ProgressStatus = Literal["queued", "processing", "smtp-starting", "smtp-completed", "submitted", "error"]


class OutboxQuery(PageQuery, frozen=True, kw_only=True):
    """Query of `GET /v1/outbox`."""

    account: Annotated[
        Filled256 | None, Meta(description="Only messages of this account. Absent: of all accounts.")
    ] = None
    state: Annotated[
        MessageState | None,
        Meta(
            description="Only messages in this state, those that have ended newest first. Absent: all that have not "
            "ended, in the order in which they are due."
        ),
    ] = None
    recipient: Annotated[
        Filled256 | None,
        Meta(
            description="Only messages with a recipient whose address begins with this, ignoring case. Absent: to "
            "anyone."
        ),
    ] = None


class EnvelopeShown(Response, frozen=True, kw_only=True):
    """The SMTP envelope of a message."""

    sender: Annotated[
        str, Meta(description='The sender (MAIL FROM); `""` is the null sender.', examples=["andris@example.com"])
    ] = msgspec.field(name="from")
    to: Annotated[
        tuple[Address, ...],
        Meta(description="The recipients (RCPT TO), each once.", examples=[["friend@sandbox.example"]]),
    ]


class DeliveryFault(Response, frozen=True, kw_only=True):
    """Why the last attempt failed."""

    message: Annotated[
        str,
        Meta(description="What happened, with the server's line if there was one.", examples=["Connection timeout"]),
    ]
    code: Annotated[str | UnsetType, Meta(description="A short code for the error.", examples=["EENVELOPE"])] = UNSET
    status_code: Annotated[int | UnsetType, Meta(description="The SMTP reply code. Absent: there was no reply.")] = (
        UNSET
    )


class Progress(Response, frozen=True, kw_only=True):
    """The progress of the delivery."""

    status: Annotated[ProgressStatus, Meta(description="The last step that was reached.")]
    response: Annotated[str | UnsetType, Meta(description="The server's line that accepted the message.")] = UNSET
    message_id: Annotated[str | UnsetType, Meta(description="The Message-ID it was sent with.")] = UNSET
    error: Annotated[DeliveryFault | UnsetType, Meta(description="Why the last attempt failed.")] = UNSET
    network_routing: Annotated[UnsetType | None, Meta(description="`null` or absent.")] = UNSET


class OutboxRecipient(Response, frozen=True, kw_only=True):
    """One recipient of a message."""

    address: Annotated[Address, Meta(description="The envelope address.")]
    state: Annotated[
        MessageState | Literal["bounced"],
        Meta(
            description="The state of the delivery to this recipient. `bounced`: the message was sent, and came back "
            "later."
        ),
    ]
    code: Annotated[int | UnsetType, Meta(description="The last SMTP reply code.", examples=[550])] = UNSET
    response: Annotated[str | UnsetType, Meta(description="The last SMTP reply line.")] = UNSET
    explain: Annotated[
        Explain | UnsetType,
        Meta(
            description="What the reply means; for the first 100 recipients that were refused. Absent: nothing was "
            "refused, or there was no reply."
        ),
    ] = UNSET


class WaitingFor(Response, frozen=True, kw_only=True):
    """Why a message is not being sent now."""

    kind: Annotated[
        WaitingKind,
        Meta(
            description="`schedule`: its `sendAt`. `retry`: its next attempt. `turn`: the messages before it. `login`: "
            "the server refuses the login. `connection`: the server cannot be reached. `rateLimit`: the account's own "
            "limit. `provider`: the server asked for less mail. `quota`: `smtp.limits` of the account are used up, or "
            "the provider says that its own are. `paused`: the queue or the account is paused. `smtp`: the account has "
            "no SMTP server. `gateway`: the gateway was removed. `evidence`: the search of the Sent folder. "
            "`decision`: your decision. `release`: your release of it, or `engine outbox release`."
        ),
    ]
    since: Annotated[When, Meta(description="When the wait began, as far as the engine knows.")]
    until: Annotated[When | None, Meta(description="When the wait ends by itself. `null`: the engine cannot tell.")]
    remedy: Annotated[str, Meta(description="The reason and the remedy, in plain words.")]


class OutboxAttempt(Response, frozen=True, kw_only=True):
    """One attempt to send a message."""

    number: Annotated[int, Meta(description="The number of the attempt, from 1.")]
    started: Annotated[When, Meta(description="When it began.")]
    ended: Annotated[When | None, Meta(description="When it ended. `null`: it is under way.")]
    outcome: Annotated[
        Literal["accepted", "later", "rejected", "login_refused", "doubt", "cancelled"] | UnsetType,
        Meta(description="The outcome as a whole. Absent: the attempt is under way."),
    ] = UNSET
    response: Annotated[str | UnsetType, Meta(description="The server's line, or what went wrong.")] = UNSET
    error: Annotated[str | UnsetType, Meta(description="The error, in the words of `messageDeliveryError`.")] = UNSET
    error_code: Annotated[str | UnsetType, Meta(description="A short code for the error.", examples=["EENVELOPE"])] = (
        UNSET
    )
    explain: Annotated[
        Explain | UnsetType,
        Meta(description="What the server's refusal means. Absent: it refused nothing, or there was no reply."),
    ] = UNSET
    interrupted: Annotated[
        bool | UnsetType, Meta(description="`true`: the engine ended during the attempt, so the transcript is lost.")
    ] = UNSET
    server: Annotated[
        str | UnsetType | None, Meta(description="The server's host and port.", examples=["smtp.example.com:465"])
    ] = UNSET
    proxy: Annotated[str | UnsetType, Meta(description="The proxy that the attempt went through. Absent: none.")] = (
        UNSET
    )
    local_address: Annotated[
        str | UnsetType,
        Meta(description="The address of this machine from which it left. Absent: the system chose it."),
    ] = UNSET
    tls: Annotated[
        str | UnsetType | None, Meta(description="The TLS version. `null`: clear text.", examples=["TLSv1.3"])
    ] = UNSET
    dsn: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether the server takes requests for delivery reports (`dsn` of the submission). Absent: "
            "none were asked for, or there was no connection."
        ),
    ] = UNSET
    timings: Annotated[
        dict[str, int] | UnsetType,
        Meta(
            description="The milliseconds that each stage took: `connect`, `greeting`, `ehlo`, `tls`, `auth`, "
            "`envelope`, `data`, `dot`. Those before `envelope` are present only if this attempt opened the "
            "connection.",
            examples=[{"envelope": 3, "data": 1, "dot": 12}],
        ),
    ] = UNSET
    replies: Annotated[
        dict[str, str] | UnsetType, Meta(description="The server's last line for each recipient of this attempt.")
    ] = UNSET
    transcript: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(
            description="The dialogue, without secrets and without the message: `C:` marks lines of the engine, `S:` "
            "lines of the server."
        ),
    ] = UNSET


class OutboxEntry(Response, frozen=True, kw_only=True):
    """One message of the outbox."""

    EXAMPLE = {
        "source": "api",
        "useStructuredFormat": False,
        "account": "example",
        "queueId": "1a210b17e9b8ceea519",
        "gateway": None,
        "messageId": "<7c2d22d0-937d-4df2-af8b-68942143cc64@sandbox.example>",
        "envelope": {
            "from": "example@sandbox.example",
            "to": ["a@sandbox.example", "defer+b@sandbox.example", "reject+c@sandbox.example"],
        },
        "subject": "Three",
        "created": "2026-11-25T03:13:17.467Z",
        "progress": {
            "status": "error",
            "error": {
                "message": "Recipient was refused: 451 4.3.0 Temporary failure, try again later",
                "code": "EENVELOPE",
                "statusCode": 451,
            },
            "networkRouting": None,
        },
        "attemptsMade": 1,
        "attempts": 10,
        "scheduled": "2026-11-25T03:13:17.467Z",
        "nextAttempt": "2026-11-25T03:13:26.897Z",
        "state": "deferred",
        "onDoubt": "resend",
        "recipients": [
            {
                "address": "a@sandbox.example",
                "state": "sent",
                "code": 250,
                "response": "250 2.0.0 Ok: queued as 3F46B9",
            },
            {
                "address": "defer+b@sandbox.example",
                "state": "deferred",
                "code": 451,
                "response": "451 4.3.0 Temporary failure, try again later",
            },
            {
                "address": "reject+c@sandbox.example",
                "state": "failed",
                "code": 550,
                "response": "550 5.1.1 <reject+c@sandbox.example>: Recipient address rejected: User unknown",
            },
        ],
        "waitingFor": {
            "kind": "retry",
            "since": "2026-11-25T03:13:17.467Z",
            "until": "2026-11-25T03:13:26.897Z",
            "remedy": "The engine tries again by itself (Recipient was refused: 451 4.3.0 Temporary failure, try again "
            'later); PUT /v1/outbox/{queueId} {"sendNow":true} tries now',
        },
        "attemptLog": [
            {
                "number": 1,
                "started": "2026-11-25T03:13:17.469Z",
                "ended": "2026-11-25T03:13:17.476Z",
                "outcome": "accepted",
                "response": "250 2.0.0 Ok: queued as 3F46B9",
                "server": "sandbox.example:587",
                "tls": None,
                "timings": {"envelope": 3, "data": 0, "dot": 1},
                "replies": {
                    "a@sandbox.example": "250 2.0.0 Ok: queued as 3F46B9",
                    "defer+b@sandbox.example": "451 4.3.0 Temporary failure, try again later",
                },
                "transcript": [
                    "C: MAIL FROM:<example@sandbox.example> SIZE=334",
                    "C: RCPT TO:<a@sandbox.example>",
                    "S: 250 2.1.0 Ok",
                    "C: [334 bytes]",
                    "C: .",
                    "S: 250 2.0.0 Ok: queued as 3F46B9",
                ],
            }
        ],
    }

    source: Annotated[Literal["api"], Meta(description="How it was submitted.")] = "api"
    use_structured_format: Annotated[Off, Meta(description="Always `false`.")] = False
    account: Annotated[str, Meta(description="The account it is sent through.", examples=["example"])]
    queue_id: Annotated[str, Meta(description="The message's id.", examples=["1a20313426c0f27d36e"])]
    gateway: Annotated[
        str | None,
        Meta(description="The gateway it goes through. `null`: the account's own server.", examples=["relay"]),
    ] = None
    message_id: Annotated[str, Meta(description="The Message-ID.", examples=["<1@example.com>"])]
    proxy: Annotated[
        str | UnsetType,
        Meta(description="The message's own proxy, with user and password masked. Absent: as its account says."),
    ] = UNSET
    local_address: Annotated[
        str | UnsetType,
        Meta(description="The message's own local address. Absent: as its account says.", examples=["192.0.2.17"]),
    ] = UNSET
    envelope: Annotated[EnvelopeShown, Meta(description="The SMTP envelope.")]
    subject: Annotated[str | None, Meta(description="The subject. `null`: none.")] = None
    created: Annotated[When, Meta(description="When it was submitted.")]
    progress: Annotated[Progress, Meta(description="The progress of the delivery.")]
    attempts_made: Annotated[int, Meta(description="The number of attempts so far.")]
    attempts: Annotated[int, Meta(description="The most attempts there will be.")]
    scheduled: Annotated[When, Meta(description="When the first attempt was or is due.")]
    next_attempt: Annotated[When | Off, Meta(description="When the next attempt is due. `false`: there is none.")]
    state: Annotated[MessageState, Meta(description="The state of the delivery.")]
    on_doubt: Annotated[OnDoubt, Meta(description="What happens if nothing shows whether it arrived.")]
    in_doubt_since: Annotated[When | UnsetType, Meta(description="Since when it is in doubt. Absent: it is not.")] = (
        UNSET
    )
    ended: Annotated[When | UnsetType, Meta(description="When it ended. Absent: it has not.")] = UNSET
    idempotency_key: Annotated[
        str | UnsetType,
        Meta(description="The key it was submitted with; only when a single message is read. Absent: none."),
    ] = UNSET
    recipients: Annotated[
        tuple[OutboxRecipient, ...] | UnsetType,
        Meta(description="Every recipient; only when a single message is read."),
    ] = UNSET
    waiting_for: Annotated[
        WaitingFor | UnsetType | None,
        Meta(
            description="Why it is not being sent now; only when a single message is read. `null`: nothing holds it up."
        ),
    ] = UNSET
    attempt_log: Annotated[
        tuple[OutboxAttempt, ...] | UnsetType,
        Meta(description="Every attempt, the first one first; only when a single message is read."),
    ] = UNSET


class OutboxPage(Page, frozen=True, kw_only=True):
    """One page of the outbox."""

    EXAMPLE = {
        "total": 1,
        "page": 0,
        "pages": 1,
        "messages": [
            {
                name: each
                for name, each in (OutboxEntry.EXAMPLE or {}).items()
                if name not in ("recipients", "waitingFor", "attemptLog")
            }
        ],
    }

    messages: Annotated[tuple[OutboxEntry, ...], Meta(description="The messages on this page.")]


class OutboxUpdate(Request, frozen=True, kw_only=True):
    """A change of a message; exactly one of its members."""

    EXAMPLE = {"sendNow": True}

    send_now: Annotated[
        bool | UnsetType,
        Meta(description="`true`: send it at once, whatever it waits for; held mail is released. Absent: do not."),
    ] = UNSET
    send_at: Annotated[
        Instant | UnsetType,
        Meta(description="The earliest time to send it. Past: at once. Absent: unchanged."),
    ] = UNSET
    on_doubt: Annotated[
        OnDoubt | UnsetType,
        Meta(
            description="What to do about a doubt, now or later. `resend` sends a message that is in doubt again at "
            "once, `hold` keeps it from being sent, `fail` ends it. Absent: unchanged."
        ),
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A request asks for one thing."""
        given = [name for name in ("send_now", "send_at", "on_doubt") if get(name) not in (UNSET, False)]
        if not given:
            yield "", "must contain at least one of [sendNow, sendAt, onDoubt]"
        elif len(given) > 1:
            yield "", "contains a conflict between exclusive peers [sendNow, sendAt, onDoubt]"


class OutboxUpdated(Response, frozen=True, kw_only=True):
    """Whether the message was changed."""

    updated: Annotated[bool, Meta(description="`false`: it was not changed; `reason` says why.")]
    reason: Annotated[str | UnsetType, Meta(description="Why it was not changed.")] = UNSET


class OutboxDeleted(Response, frozen=True, kw_only=True):
    """Whether the message was cancelled."""

    EXAMPLE = {"deleted": True, "alreadySent": ["a@sandbox.example"]}

    deleted: Annotated[
        bool,
        Meta(
            description="`true`: it is certain that no one else gets the message. `false`: nothing was changed; "
            "`reason` says why: the message is unknown, has ended, may have its final dot under way, or is in doubt "
            "(it may have arrived, so there is nothing to cancel: decide with `onDoubt`)."
        ),
    ]
    reason: Annotated[
        str | UnsetType, Meta(description="Why it was not cancelled.", examples=["It was sent already"])
    ] = UNSET
    already_sent: Annotated[
        tuple[Address, ...] | UnsetType,
        Meta(description="The recipients who got it in an earlier attempt. Absent: no one did."),
    ] = UNSET
