"""The timeline of a message: all that happened to it, in one list."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.explain import Explain
from engine.schema.fields import Address, Response, When
from engine.schema.mail_events import MailAddress
from engine.schema.outbox import OutboxAttempt
from engine.schema.paging import Page, PageQuery
from engine.schema.recipient_events import Automated
from engine.schema.submit import OnDoubt

EntryType = Literal[
    "accepted",
    "notSent",
    "attempt",
    "sent",
    "deliveryError",
    "inDoubt",
    "failed",
    "cancelled",
    "copyFiled",
    "copyFailed",
    "deliveryReport",
    "bounce",
    "complaint",
    "open",
    "click",
    "reply",
    "unsubscribe",
    "subscribe",
    "rescheduled",
    "held",
    "released",
    "onDoubtChanged",
    "doubtDecided",
    "notInSentFolder",
]


class TimelineQuery(PageQuery, frozen=True, kw_only=True):
    """Query of `GET /v1/outbox/{queueId}/timeline`."""


class RefusedRecipient(Response, frozen=True, kw_only=True):
    """A recipient who was refused, and why."""

    address: Annotated[Address, Meta(description="The recipient.")]
    response: Annotated[str | UnsetType, Meta(description="The server's line, or what went wrong.")] = UNSET


class TimelineEntry(Response, frozen=True, kw_only=True):
    """One thing that happened to a message."""

    at: Annotated[When, Meta(description="When it happened.")]
    type: Annotated[
        EntryType,
        Meta(
            description="What happened. `accepted`: the engine took the message. `notSent`: recipients were left out, "
            "since they are suppressed. `attempt`: an attempt, at the time when it began; what came of it follows. "
            "`sent`, `deliveryError`, `inDoubt`, `failed`, `cancelled`: the events `messageSent` and so on. "
            "`copyFiled`, `copyFailed`: the copy in the Sent folder. `deliveryReport`: a report of a delay, or of a "
            "delivery. `bounce`, `complaint`, `reply`, `open`, `click`, `unsubscribe`, `subscribe`: what recipients or "
            "their servers did. `rescheduled`: a request set its time. `held`, `released`: it was kept from being "
            "sent, and no longer is. `onDoubtChanged`, `doubtDecided`: a request chose what happens in case of doubt, "
            "or decided one. `notInSentFolder`: the provider's Sent folder shows that it did not go."
        ),
    ]
    event: Annotated[
        str | UnsetType,
        Meta(
            description="The name of the event that tells it. Absent: there is no such event.", examples=["messageSent"]
        ),
    ] = UNSET
    seq: Annotated[int | UnsetType, Meta(description="The number of that event.", examples=[4711])] = UNSET
    event_id: Annotated[
        str | UnsetType, Meta(description="The UUID of that event.", extra_json_schema={"format": "uuid"})
    ] = UNSET
    event_removed: Annotated[
        bool | UnsetType,
        Meta(
            description="`true`: retention has removed the event, so only what is kept beside it is shown, without "
            "`eventId`. Absent: it is still there, or there was none."
        ),
    ] = UNSET
    recipients: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(
            description="The recipients whom it concerns, at most 100. Absent: the message as a whole, or it is not "
            "known whom, as with `open` of a message to several.",
            examples=[["friend@sandbox.example"]],
        ),
    ] = UNSET
    more_recipients: Annotated[
        int | UnsetType, Meta(description="How many further recipients it concerns. Absent: none.")
    ] = UNSET
    rejected: Annotated[
        tuple[RefusedRecipient, ...] | UnsetType,
        Meta(description="Those who do not get the message, at most 100. Absent: no one."),
    ] = UNSET
    response: Annotated[
        str | UnsetType, Meta(description="The words of the server or the report, or what went wrong.")
    ] = UNSET
    explain: Annotated[
        Explain | UnsetType, Meta(description="What these words mean. Absent: nothing was refused, or without words.")
    ] = UNSET
    attempt: Annotated[
        OutboxAttempt | UnsetType, Meta(description="The attempt with its transcript; only for `attempt`.")
    ] = UNSET
    next_attempt: Annotated[
        When | UnsetType, Meta(description="When the next attempt was due. Absent: there was none.")
    ] = UNSET
    send_at: Annotated[
        When | UnsetType, Meta(description="The time that a request set; for a doubt, that of sending again.")
    ] = UNSET
    on_doubt: Annotated[OnDoubt | UnsetType, Meta(description="What happens, or happened, in case of doubt.")] = UNSET
    action: Annotated[
        str | UnsetType, Meta(description="What a delivery report says.", examples=["delayed", "delivered"])
    ] = UNSET
    status: Annotated[
        str | UnsetType, Meta(description="The enhanced status code of a report.", examples=["4.4.1"])
    ] = UNSET
    bounce_type: Annotated[
        Literal["hard", "soft"] | UnsetType, Meta(description="Whether a bounce is for good (`hard`).")
    ] = UNSET
    category: Annotated[
        str | UnsetType, Meta(description="The reason of a bounce in one word.", examples=["user_unknown"])
    ] = UNSET
    reason: Annotated[
        str | UnsetType,
        Meta(
            description="Why: `restored` or `interrupted` for `held`, `accountRemoved` for `cancelled`, the type of "
            "the feedback for `complaint`.",
            examples=["restored"],
        ),
    ] = UNSET
    path: Annotated[str | UnsetType, Meta(description="The folder of the copy.", examples=["Sent"])] = UNSET
    url: Annotated[str | UnsetType, Meta(description="Where the link leads that was followed.")] = UNSET
    automated: Annotated[
        Automated | UnsetType, Meta(description="Why an `open` or `click` was probably not a person's.")
    ] = UNSET
    list_id: Annotated[str | UnsetType, Meta(description="The list that was left or joined.")] = UNSET
    author: Annotated[MailAddress | UnsetType, Meta(description="Who answered.")] = msgspec.field(
        name="from", default=UNSET
    )
    auto: Annotated[
        Literal["autoReply", "outOfOffice"] | bool | UnsetType, Meta(description="Whether a program answered.")
    ] = UNSET
    text: Annotated[str | UnsetType, Meta(description="The beginning of an answer, at most 500 characters.")] = UNSET
    message: Annotated[
        str | UnsetType,
        Meta(description="The id of the message in a folder that told it: the bounce, report, complaint or reply."),
    ] = UNSET


class Timeline(Page, frozen=True, kw_only=True):
    """One page of a timeline."""

    EXAMPLE = {
        "total": 3,
        "page": 0,
        "pages": 1,
        "queueId": "1a210b17e9b8ceea519",
        "account": "example",
        "messageId": "<7c2d22d0-937d-4df2-af8b-68942143cc64@sandbox.example>",
        "firstEvent": 1,
        "isCut": False,
        "entries": [
            {"at": "2026-11-25T03:13:17.467Z", "type": "accepted", "recipients": ["a@sandbox.example"]},
            {
                "at": "2026-11-25T03:13:17.469Z",
                "type": "attempt",
                "attempt": {
                    "number": 1,
                    "started": "2026-11-25T03:13:17.469Z",
                    "ended": "2026-11-25T03:13:17.476Z",
                    "outcome": "accepted",
                    "response": "250 2.0.0 Ok: queued as 3F46B9",
                },
            },
            {
                "at": "2026-11-25T03:13:17.476Z",
                "type": "sent",
                "event": "messageSent",
                "seq": 17,
                "eventId": "a5dadce8-b45a-4c69-acce-32093ff7ac78",
                "recipients": ["a@sandbox.example"],
                "response": "250 2.0.0 Ok: queued as 3F46B9",
            },
        ],
    }

    queue_id: Annotated[str, Meta(description="The message's id.", examples=["1a20313426c0f27d36e"])]
    account: Annotated[str, Meta(description="The account it is sent through.", examples=["example"])]
    message_id: Annotated[str, Meta(description="The Message-ID.", examples=["<1@example.com>"])]
    first_event: Annotated[
        int, Meta(description="The number of the oldest event that is kept. Retention has removed those before it.")
    ]
    is_cut: Annotated[
        bool,
        Meta(
            description="`true`: the message has 10,000 entries; opens and clicks beyond that are only in the journal."
        ),
    ]
    entries: Annotated[tuple[TimelineEntry, ...], Meta(description="What happened, the earliest first.")]
