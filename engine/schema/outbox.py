"""The outbox: what was handed in and where its delivery stands, per message and per recipient.

A message's `state` sums up those of its recipients. Entries stay for the retention time after they ended, so a message
that was sent can still be looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

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
    "paused",
    "smtp",
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

    account: Annotated[Filled256 | None, Meta(description="Only this account's messages. Absent: all.")] = None
    state: Annotated[
        MessageState | None, Meta(description="Only messages in this state. Absent: all that have not ended.")
    ] = None


class EnvelopeShown(Response, frozen=True, kw_only=True):
    """The SMTP envelope of a message."""

    sender: Annotated[str, Meta(description='MAIL FROM; `""` is the null sender.', examples=["andris@example.com"])] = (
        msgspec.field(name="from")
    )
    to: Annotated[tuple[Address, ...], Meta(description="RCPT TO, every recipient once.")]


class DeliveryFault(Response, frozen=True, kw_only=True):
    """Why the last attempt did not succeed."""

    message: Annotated[str, Meta(description="What happened, with the server's line if there was one.")]
    code: Annotated[str | UnsetType, Meta(description="Short code.", examples=["EENVELOPE"])] = UNSET
    status_code: Annotated[int | UnsetType, Meta(description="SMTP reply code, if there was a reply.")] = UNSET


class Progress(Response, frozen=True, kw_only=True):
    """How far the delivery got."""

    status: Annotated[ProgressStatus, Meta(description="The last step that was reached.")]
    response: Annotated[str | UnsetType, Meta(description="The server's line that accepted the message.")] = UNSET
    message_id: Annotated[str | UnsetType, Meta(description="Message-ID it was sent with.")] = UNSET
    error: Annotated[DeliveryFault | UnsetType, Meta(description="Why the last attempt failed.")] = UNSET
    network_routing: Annotated[UnsetType | None, Meta(description="`null` or absent.")] = UNSET


class OutboxRecipient(Response, frozen=True, kw_only=True):
    """One recipient of a message."""

    address: Annotated[Address, Meta(description="Envelope address.")]
    state: Annotated[
        MessageState | Literal["bounced"],
        Meta(description="Where the delivery to this recipient stands. `bounced`: sent, and it came back later."),
    ]
    code: Annotated[int | UnsetType, Meta(description="Last SMTP reply code for it.", examples=[550])] = UNSET
    response: Annotated[str | UnsetType, Meta(description="Last SMTP reply line for it.")] = UNSET


class WaitingFor(Response, frozen=True, kw_only=True):
    """What keeps a message from being sent right now."""

    kind: Annotated[
        WaitingKind,
        Meta(
            description="`schedule`: its `sendAt`. `retry`: its next attempt. `turn`: the messages before it. `login`, "
            "`connection`: its server. `rateLimit`: the account's own limit. `provider`: its server asked for less. "
            "`paused`: the queue or the account is paused. `smtp`: the account has no SMTP server. `evidence`: the "
            "Sent folder is being searched. `decision`: you. `release`: `engine outbox release`, or you."
        ),
    ]
    since: Annotated[When, Meta(description="Since when, as far as is known.")]
    until: Annotated[When | None, Meta(description="When it ends by itself. `null`: nobody can say.")]
    remedy: Annotated[str, Meta(description="What it is and what can be done, in plain words.")]


class OutboxAttempt(Response, frozen=True, kw_only=True):
    """One attempt to send a message."""

    number: Annotated[int, Meta(description="Which one, from 1.")]
    started: Annotated[When, Meta(description="When it began.")]
    ended: Annotated[When | None, Meta(description="When it ended. `null`: it is going on.")]
    outcome: Annotated[
        Literal["accepted", "later", "rejected", "login_refused", "doubt", "cancelled"] | UnsetType,
        Meta(description="What it came to as a whole. Absent while it is going on."),
    ] = UNSET
    response: Annotated[str | UnsetType, Meta(description="The server's line, or what went wrong.")] = UNSET
    error: Annotated[str | UnsetType, Meta(description="The error in the words of `messageDeliveryError`.")] = UNSET
    error_code: Annotated[str | UnsetType, Meta(description="Its short code.", examples=["EENVELOPE"])] = UNSET
    interrupted: Annotated[
        bool | UnsetType, Meta(description="`true`: the engine ended during it, so its transcript is lost.")
    ] = UNSET
    server: Annotated[str | UnsetType | None, Meta(description="Host and port.", examples=["smtp.example.com:465"])] = (
        UNSET
    )
    tls: Annotated[
        str | UnsetType | None, Meta(description="TLS version. `null`: in clear text.", examples=["TLSv1.3"])
    ] = UNSET
    timings: Annotated[
        dict[str, int] | UnsetType,
        Meta(
            description="Milliseconds each stage took: `connect`, `greeting`, `ehlo`, `tls`, `auth`, `envelope`, "
            "`data`, `dot`; those before `envelope` only where the connection was made for this attempt.",
            examples=[{"envelope": 3, "data": 1, "dot": 12}],
        ),
    ] = UNSET
    replies: Annotated[
        dict[str, str] | UnsetType, Meta(description="The server's last line for each recipient of this attempt.")
    ] = UNSET
    transcript: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(description="What was said, `C:` by the engine and `S:` by the server, secrets and the message left out."),
    ] = UNSET


class OutboxEntry(Response, frozen=True, kw_only=True):
    """One message of the outbox."""

    source: Annotated[Literal["api"], Meta(description="How it was handed in.")] = "api"
    use_structured_format: Annotated[Off, Meta(description="Always `false`.")] = False
    account: Annotated[str, Meta(description="The account it is sent through.", examples=["example"])]
    queue_id: Annotated[str, Meta(description="Its id.", examples=["1a20313426c0f27d36e"])]
    gateway: Annotated[None, Meta(description="Always `null`.")] = None
    message_id: Annotated[str, Meta(description="Its Message-ID.", examples=["<1@example.com>"])]
    envelope: Annotated[EnvelopeShown, Meta(description="Its SMTP envelope.")]
    subject: Annotated[str | None, Meta(description="Its subject. `null`: none.")] = None
    created: Annotated[When, Meta(description="When it was handed in.")]
    progress: Annotated[Progress, Meta(description="How far the delivery got.")]
    attempts_made: Annotated[int, Meta(description="Attempts so far.")]
    attempts: Annotated[int, Meta(description="Attempts there may be.")]
    scheduled: Annotated[When, Meta(description="When the first attempt was or is due.")]
    next_attempt: Annotated[When | Off, Meta(description="When the next attempt is due. `false`: there is none.")]
    state: Annotated[MessageState, Meta(description="Where the delivery stands.")]
    on_doubt: Annotated[OnDoubt, Meta(description="What follows if nobody knows whether it arrived.")]
    in_doubt_since: Annotated[
        When | UnsetType, Meta(description="Since when nobody knows. Absent: nothing is in doubt.")
    ] = UNSET
    ended: Annotated[When | UnsetType, Meta(description="When it ended. Absent: it has not.")] = UNSET
    idempotency_key: Annotated[
        str | UnsetType, Meta(description="Key it was handed in with; only when one entry is asked for. Absent: none.")
    ] = UNSET
    recipients: Annotated[
        tuple[OutboxRecipient, ...] | UnsetType, Meta(description="Every recipient; only when one entry is asked for.")
    ] = UNSET
    waiting_for: Annotated[
        WaitingFor | UnsetType | None,
        Meta(description="What keeps it from being sent now; only when one entry is asked for. `null`: nothing does."),
    ] = UNSET
    attempt_log: Annotated[
        tuple[OutboxAttempt, ...] | UnsetType,
        Meta(description="Every try, the first one first; only when one entry is asked for."),
    ] = UNSET


class OutboxPage(Page, frozen=True, kw_only=True):
    """One page of the outbox."""

    messages: Annotated[tuple[OutboxEntry, ...], Meta(description="The messages on this page.")]


class OutboxUpdate(Request, frozen=True, kw_only=True):
    """Moves a message that waits, or decides what a doubt about it comes to; one of the three."""

    send_now: Annotated[
        bool | UnsetType,
        Meta(
            description="`true`: try it at once, whatever it waits for; a held one is released. Absent: not asked for."
        ),
    ] = UNSET
    send_at: Annotated[
        Instant | UnsetType,
        Meta(description="Not before this time; less than a year ahead. Past: at once. Absent: as it is."),
    ] = UNSET
    on_doubt: Annotated[
        OnDoubt | UnsetType,
        Meta(
            description="What a doubt comes to. Of a message in doubt now: `resend` sends it again at once, `hold` "
            "keeps it from being sent, `fail` ends it. Absent: as it is."
        ),
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """One thing is asked for."""
        given = [name for name in ("send_now", "send_at", "on_doubt") if get(name) not in (UNSET, False)]
        if not given:
            yield "", "must contain at least one of [sendNow, sendAt, onDoubt]"
        elif len(given) > 1:
            yield "", "contains a conflict between exclusive peers [sendNow, sendAt, onDoubt]"


class OutboxUpdated(Response, frozen=True, kw_only=True):
    """The answer to a change of a waiting message."""

    updated: Annotated[bool, Meta(description="`false`: it was not changed, and `reason` says why.")]
    reason: Annotated[str | UnsetType, Meta(description="Why it was not changed.")] = UNSET


class OutboxDeleted(Response, frozen=True, kw_only=True):
    """The answer to a cancellation."""

    deleted: Annotated[
        bool, Meta(description="`true`: it does not go. `false`: nothing was changed, and `reason` says why.")
    ]
    reason: Annotated[
        str | UnsetType, Meta(description="Why it was not cancelled.", examples=["It was sent already"])
    ] = UNSET
    already_sent: Annotated[
        tuple[Address, ...] | UnsetType,
        Meta(description="Recipients who got it in an earlier try; it goes to nobody else. Absent: nobody got it."),
    ] = UNSET
