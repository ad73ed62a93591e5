"""Events: what webhooks, the event stream and `GET /v1/events` carry.

Every event has the members of `Event`; `EVENT_DATA` holds the shape of `data` under each event's name and is the whole
catalogue. Members are only ever added. The numbers (`seq`) have no gap, so a reader that keeps the last one it saw can
come back and miss nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.account import LastError
from engine.schema.fields import Address, Check, Filled256, Off, Request, Response, When
from engine.schema.mail_events import MAIL_EVENT_DATA, MailEventName
from engine.schema.outbox import EnvelopeShown
from engine.schema.submit import OnDoubt

_QUEUE_ID = Annotated[str, Meta(description="The message's id in the outbox.", examples=["1a20313426c0f27d36e"])]
_MESSAGE_ID = Annotated[str, Meta(description="The message's Message-ID.", examples=["<1@example.com>"])]
_ROUTING = Annotated[None, Meta(description="Always `null`.")]


class RecipientReply(Response, frozen=True, kw_only=True):
    """What the server said about one recipient."""

    address: Annotated[Address, Meta(description="Envelope address.")]
    response: Annotated[str | UnsetType, Meta(description="The reply line. Absent: there was no reply.")] = UNSET
    response_code: Annotated[int | UnsetType, Meta(description="Its reply code.", examples=[550])] = UNSET


_ACCEPTED = Annotated[tuple[Address, ...], Meta(description="Recipients the server took the message for.")]
_IN_DOUBT = Annotated[
    bool | UnsetType,
    Meta(
        description="`true`: the line broke after the final dot, so the message may have arrived. Absent: it did not."
    ),
]
_REJECTED = Annotated[tuple[RecipientReply, ...], Meta(description="Recipients the server refused for good.")]


class AccountAdded(Response, frozen=True, kw_only=True):
    """`accountAdded`: an account was registered."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]


class AccountInitialized(Response, frozen=True, kw_only=True):
    """`accountInitialized`: an account is connected for the first time."""

    initialized: Annotated[bool, Meta(description="Always `true`.")] = True


class AccountDeleted(Response, frozen=True, kw_only=True):
    """`accountDeleted`: an account was removed."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]


class AuthenticationSuccess(Response, frozen=True, kw_only=True):
    """`authenticationSuccess`: the first login, or the first after an error."""

    user: Annotated[str, Meta(description="The user name.", examples=["andris@example.com"])]


class AuthenticationError(LastError, frozen=True, kw_only=True):
    """`authenticationError`: a login was refused. Not repeated while the error stays the same."""


class ConnectError(LastError, frozen=True, kw_only=True):
    """`connectError`: a server cannot be reached. Not repeated while the error stays the same."""


class MessageSent(Response, frozen=True, kw_only=True):
    """`messageSent`: the SMTP server took the message, for at least one recipient."""

    message_id: _MESSAGE_ID
    response: Annotated[
        str, Meta(description="The server's last line.", examples=["250 2.0.0 Ok: queued as 5755482356"])
    ]
    queue_id: _QUEUE_ID
    envelope: Annotated[EnvelopeShown, Meta(description="The SMTP envelope.")]
    network_routing: _ROUTING = None
    accepted: _ACCEPTED
    rejected: _REJECTED = ()
    sandbox: Annotated[
        bool | UnsetType,
        Meta(description="`true`: from a sandbox account, so it went to nobody. Absent: it was sent."),
    ] = UNSET


class Job(Response, frozen=True, kw_only=True):
    """Where a message stands in its schedule."""

    id: _QUEUE_ID
    attempts_made: Annotated[int, Meta(description="Attempts so far, this one counted.")]
    attempts: Annotated[int, Meta(description="Attempts there may be.")]
    next_attempt: Annotated[When | Off, Meta(description="When the next attempt is due. `false`: there is none.")]


class MessageDeliveryError(Response, frozen=True, kw_only=True):
    """`messageDeliveryError`: one attempt to send a message failed."""

    queue_id: _QUEUE_ID
    envelope: Annotated[EnvelopeShown, Meta(description="The SMTP envelope.")]
    message_id: _MESSAGE_ID
    error: Annotated[str, Meta(description="What happened.")]
    error_code: Annotated[str | UnsetType, Meta(description="Short code.", examples=["EENVELOPE"])] = UNSET
    smtp_response: Annotated[str | UnsetType, Meta(description="The server's line, if there was one.")] = UNSET
    smtp_response_code: Annotated[int | UnsetType, Meta(description="Its reply code.", examples=[451])] = UNSET
    smtp_command: Annotated[
        str | UnsetType, Meta(description="The SMTP command it failed at.", examples=["RCPT TO"])
    ] = UNSET
    network_routing: _ROUTING = None
    job: Annotated[Job, Meta(description="Where it stands in its schedule.")]
    rejected: _REJECTED = ()
    in_doubt: _IN_DOUBT = UNSET


class MessageFailed(Response, frozen=True, kw_only=True):
    """`messageFailed`: nothing more will be tried; nobody further gets the message."""

    message_id: _MESSAGE_ID
    queue_id: _QUEUE_ID
    error: Annotated[str, Meta(description="Why, beginning with `Error: `.")]
    network_routing: _ROUTING = None
    envelope: Annotated[EnvelopeShown, Meta(description="The SMTP envelope.")]
    error_code: Annotated[str | UnsetType, Meta(description="Short code.", examples=["EENVELOPE"])] = UNSET
    smtp_response: Annotated[str | UnsetType, Meta(description="The server's line, if there was one.")] = UNSET
    smtp_response_code: Annotated[int | UnsetType, Meta(description="Its reply code.", examples=[550])] = UNSET
    attempts_made: Annotated[int, Meta(description="Attempts that were made.")]
    rejected: _REJECTED = ()
    in_doubt: _IN_DOUBT = UNSET


class MessageInDoubt(Response, frozen=True, kw_only=True):
    """`messageInDoubt`: the line broke after the final dot, so nobody knows whether the message arrived."""

    queue_id: _QUEUE_ID
    message_id: _MESSAGE_ID
    envelope: Annotated[EnvelopeShown, Meta(description="`to` holds those of whom nobody knows.")]
    error: Annotated[str, Meta(description="How the line broke.")]
    error_code: Annotated[str, Meta(description="Short code.", examples=["ECONNECTION"])]
    attempts_made: Annotated[int, Meta(description="Attempts so far, this one included.")]
    on_doubt: Annotated[OnDoubt, Meta(description="What follows if nothing tells.")]
    searching_sent_folder: Annotated[
        bool, Meta(description="`true`: the provider files sent mail itself, so its Sent folder is searched first.")
    ]
    next_attempt: Annotated[
        When | Off, Meta(description="When it is sent again. `false`: not before somebody decides, or never.")
    ]


class MessageCancelled(Response, frozen=True, kw_only=True):
    """`messageCancelled`: the message was taken back before its final dot and does not go."""

    queue_id: _QUEUE_ID
    message_id: _MESSAGE_ID
    envelope: Annotated[EnvelopeShown, Meta(description="`to` holds those it will not go to.")]
    attempts_made: Annotated[int, Meta(description="Attempts that were made before.")]


class MessageCopyFailed(Response, frozen=True, kw_only=True):
    """`messageCopyFailed`: the message was sent, but its copy could not be filed in the Sent folder."""

    message_id: _MESSAGE_ID
    queue_id: _QUEUE_ID
    path: Annotated[str | None, Meta(description="The folder. `null`: the account has no Sent folder.")]
    error: Annotated[str, Meta(description="What the server said last.")]
    attempts_made: Annotated[int, Meta(description="How often it was tried.")]


class WebhookGap(Response, frozen=True, kw_only=True):
    """`webhookGap`: events were removed by age or size before a webhook endpoint had got to them."""

    webhook: Annotated[str, Meta(description="The endpoint.", examples=["default"])]
    first: Annotated[int, Meta(description="The first number that may be lost to it.")]
    last: Annotated[int, Meta(description="The last.")]
    account: Annotated[str | UnsetType, Meta(description="Only events of this account. Absent: of all.")] = UNSET


EVENT_DATA: dict[str, type[Response]] = {
    "accountAdded": AccountAdded,
    "accountInitialized": AccountInitialized,
    "accountDeleted": AccountDeleted,
    "authenticationSuccess": AuthenticationSuccess,
    "authenticationError": AuthenticationError,
    "connectError": ConnectError,
    "messageSent": MessageSent,
    "messageDeliveryError": MessageDeliveryError,
    "messageInDoubt": MessageInDoubt,
    "messageFailed": MessageFailed,
    "messageCancelled": MessageCancelled,
    "messageCopyFailed": MessageCopyFailed,
    "webhookGap": WebhookGap,
    **MAIL_EVENT_DATA,
}
"""The shape of `data` by event name."""

NEVER_RAISED = frozenset(
    ("trackOpen", "trackClick", "listUnsubscribe", "listSubscribe", "exportCompleted", "exportFailed")
)
"""Events of EmailEngine that this engine has no cause for; its clients may ask for them."""

_SendingEventName = Literal[
    "accountAdded",
    "accountInitialized",
    "accountDeleted",
    "authenticationSuccess",
    "authenticationError",
    "connectError",
    "messageSent",
    "messageDeliveryError",
    "messageInDoubt",
    "messageFailed",
    "messageCancelled",
    "messageCopyFailed",
    "webhookGap",
]
EventName = Literal[_SendingEventName, MailEventName]


class Event(Response, frozen=True, kw_only=True):
    """One event."""

    service_url: Annotated[str | None, Meta(description="The setting `serviceUrl`.")] = None
    account: Annotated[str | None, Meta(description="Whose it is. `null`: the engine's.", examples=["example"])] = None
    date: Annotated[When, Meta(description="When it happened.")]
    path: Annotated[str | UnsetType, Meta(description="The folder it happened in, if in one.", examples=["INBOX"])] = (
        UNSET
    )
    special_use: Annotated[str | UnsetType, Meta(description="What that folder is used for.", examples=["\\Inbox"])] = (
        UNSET
    )
    event: Annotated[EventName, Meta(description="Its name.", examples=["messageSent"])]
    data: Annotated[Any, Meta(description="What happened; the shape depends on `event`.")]
    seq: Annotated[int, Meta(description="Its number: one more than that of the event before it.", examples=[4711])]
    event_id: Annotated[
        str, Meta(description="Its own id (UUID), the same in every channel.", extra_json_schema={"format": "uuid"})
    ]
    clock_stepped: Annotated[
        bool | UnsetType,
        Meta(description="`true`: the clock was set back before it, so its date is not after that of the one before."),
    ] = UNSET
    truncated: Annotated[
        bool | UnsetType,
        Meta(description="`true`: it would be larger than 256 KiB, so long texts and lists in `data` are cut."),
    ] = UNSET


After = Annotated[int, Meta(ge=0, le=2**53)]
OfAccount = Annotated[Filled256 | None, Meta(description="Only this account's events. Absent: all.")]
Named = Annotated[
    Annotated[str, Meta(max_length=4096, extra={"check": Check.EVENT_NAMES})] | None,
    Meta(description="Only events of these names, comma-separated. Absent or `*`: all.", examples=["messageSent"]),
]


def names_of(text: str | None) -> frozenset[str] | None:
    """The event names in a comma-separated list; None, which is every one, for `*` or nothing."""
    names = frozenset(name.strip() for name in (text or "").split(",")) - {""}
    return None if not names or "*" in names else names


class EventsQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/events`."""

    after: Annotated[After, Meta(description="Only events with a number above this.", examples=[4711])] = 0
    limit: Annotated[Annotated[int, Meta(ge=1, le=1000)], Meta(description="At most so many.")] = 100
    wait: Annotated[
        Annotated[int, Meta(ge=0, le=60)],
        Meta(
            description="Seconds to wait for an event where there is none yet. More than 50 count as 50: many proxies "
            "cut a request after a minute without an answer."
        ),
    ] = 0
    account: OfAccount = None
    events: Named = None


class EventsPage(Response, frozen=True, kw_only=True):
    """Events in the order of their numbers."""

    events: Annotated[tuple[Event, ...], Meta(description="The events.")]
    first: Annotated[int, Meta(description="The oldest number that is kept. `0`: there is no event.")]
    last: Annotated[int, Meta(description="The newest number there is. `0`: there is no event.")]
    next: Annotated[int, Meta(description="The next `after`: everything up to it is dealt with, by the filter too.")]
