"""Events: what webhooks, the event stream and `GET /v1/events` carry.

Every event has the members of `Event`; `EVENT_DATA` holds the shape of `data` under each event's name and is the whole
catalogue. Members may be added, never removed. The numbers (`seq`) have no gap, so a reader that keeps the last one it
saw can come back and miss nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.account_condition import LastError
from engine.schema.explain import Explain
from engine.schema.export import ExportCompleted, ExportFailed
from engine.schema.fields import Address, Check, Filled256, Off, OfSandbox, Request, Response, When
from engine.schema.mail_events import MAIL_EVENT_DATA, MailEventName
from engine.schema.oauth2 import OAuthAppError, OAuthAppWarning
from engine.schema.outbox import EnvelopeShown
from engine.schema.recipient_events import RECIPIENT_EVENT_DATA, RecipientEventName
from engine.schema.submit import OnDoubt

_QUEUE_ID = Annotated[str, Meta(description="The message's id in the outbox.", examples=["1a20313426c0f27d36e"])]
_MESSAGE_ID = Annotated[str, Meta(description="The message's Message-ID.", examples=["<1@example.com>"])]


class NetworkRouting(Response, frozen=True, kw_only=True):
    """The network route of an attempt."""

    proxy: Annotated[
        str | UnsetType, Meta(description="The proxy, without its login.", examples=["socks5://proxy.example.com:1080"])
    ] = UNSET
    local_address: Annotated[
        str | UnsetType,
        Meta(description="The address of this machine from which the connection left. Absent: the system chose it."),
    ] = UNSET


_ROUTING = Annotated[
    NetworkRouting | None,
    Meta(description="The network route. `null`: no proxy, and the system chose the local address."),
]


class RecipientReply(Response, frozen=True, kw_only=True):
    """What the server said about one recipient."""

    address: Annotated[Address, Meta(description="The envelope address.")]
    response: Annotated[str | UnsetType, Meta(description="The reply line. Absent: there was no reply.")] = UNSET
    response_code: Annotated[int | UnsetType, Meta(description="The reply code.", examples=[550])] = UNSET
    explain: Annotated[
        Explain | UnsetType,
        Meta(description="What the reply means; for the first 10 recipients of the list. Absent: there was no reply."),
    ] = UNSET


_ACCEPTED = Annotated[tuple[Address, ...], Meta(description="The recipients for whom the server accepted the message.")]
_IN_DOUBT = Annotated[
    bool | UnsetType,
    Meta(
        description="`true`: the connection broke after the final dot, so the message may have arrived. Absent: it "
        "did not break there."
    ),
]
_ERROR_CODE = Annotated[str | UnsetType, Meta(description="A short code for the error.", examples=["EENVELOPE"])]
_SMTP_RESPONSE = Annotated[str | UnsetType, Meta(description="The server's line. Absent: there was no reply.")]
_EXPLAIN = Annotated[Explain | UnsetType, Meta(description="What the reply means. Absent: there was no reply.")]
_REJECTED = Annotated[tuple[RecipientReply, ...], Meta(description="The recipients that the server refused for good.")]


_GATEWAY = Annotated[
    str | UnsetType,
    Meta(description="The gateway it goes through. Absent: the account's own server.", examples=["relay"]),
]


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
    """`authenticationSuccess`: the first login, or the first after an error or a change."""

    user: Annotated[str, Meta(description="The user name.", examples=["andris@example.com"])]


class AuthenticationError(LastError, frozen=True, kw_only=True):
    """`authenticationError`: a server refused the login. Not repeated while the error stays the same."""


class ConnectError(LastError, frozen=True, kw_only=True):
    """`connectError`: a server cannot be reached. Not repeated while the error stays the same."""


class MessageSent(Response, frozen=True, kw_only=True):
    """`messageSent`: the SMTP server accepted the message for at least one recipient."""

    message_id: _MESSAGE_ID
    response: Annotated[
        str, Meta(description="The server's last line.", examples=["250 2.0.0 Ok: queued as 5755482356"])
    ]
    queue_id: _QUEUE_ID
    gateway: _GATEWAY = UNSET
    envelope: Annotated[EnvelopeShown, Meta(description="The SMTP envelope.")]
    network_routing: _ROUTING = None
    accepted: _ACCEPTED
    rejected: _REJECTED = ()
    sandbox: OfSandbox = UNSET


class Job(Response, frozen=True, kw_only=True):
    """Where a message stands in its schedule."""

    id: _QUEUE_ID
    attempts_made: Annotated[int, Meta(description="The number of attempts so far, including this one.", examples=[1])]
    attempts: Annotated[int, Meta(description="The most attempts there will be.", examples=[10])]
    next_attempt: Annotated[When | Off, Meta(description="When the next attempt is due. `false`: there is none.")]


class MessageDeliveryError(Response, frozen=True, kw_only=True):
    """`messageDeliveryError`: an attempt to send a message failed for at least one recipient."""

    queue_id: _QUEUE_ID
    gateway: _GATEWAY = UNSET
    envelope: Annotated[EnvelopeShown, Meta(description="The SMTP envelope.")]
    message_id: _MESSAGE_ID
    error: Annotated[str, Meta(description="What happened.")]
    error_code: _ERROR_CODE = UNSET
    smtp_response: _SMTP_RESPONSE = UNSET
    smtp_response_code: Annotated[int | UnsetType, Meta(description="The reply code.", examples=[451])] = UNSET
    explain: _EXPLAIN = UNSET
    smtp_command: Annotated[
        str | UnsetType, Meta(description="The SMTP command that failed.", examples=["RCPT TO"])
    ] = UNSET
    network_routing: _ROUTING = None
    job: Annotated[Job, Meta(description="Where the message stands in its schedule.")]
    rejected: _REJECTED = ()
    in_doubt: _IN_DOUBT = UNSET
    sandbox: OfSandbox = UNSET


class MessageFailed(Response, frozen=True, kw_only=True):
    """`messageFailed`: there will be no further attempt, and no further recipient gets the message."""

    message_id: _MESSAGE_ID
    queue_id: _QUEUE_ID
    error: Annotated[str, Meta(description="Why it failed; begins with `Error: `.")]
    network_routing: _ROUTING = None
    gateway: _GATEWAY = UNSET
    envelope: Annotated[EnvelopeShown, Meta(description="The SMTP envelope.")]
    error_code: _ERROR_CODE = UNSET
    smtp_response: _SMTP_RESPONSE = UNSET
    smtp_response_code: Annotated[int | UnsetType, Meta(description="The reply code.", examples=[550])] = UNSET
    explain: _EXPLAIN = UNSET
    attempts_made: Annotated[int, Meta(description="The number of attempts made.")]
    rejected: _REJECTED = ()
    in_doubt: _IN_DOUBT = UNSET
    sandbox: OfSandbox = UNSET


class MessageInDoubt(Response, frozen=True, kw_only=True):
    """`messageInDoubt`: the connection broke after the final dot, so the message may or may not have arrived."""

    queue_id: _QUEUE_ID
    message_id: _MESSAGE_ID
    gateway: _GATEWAY = UNSET
    envelope: Annotated[
        EnvelopeShown, Meta(description="The SMTP envelope; `to` lists the recipients who may have got the message.")
    ]
    error: Annotated[str, Meta(description="How the connection broke.")]
    error_code: Annotated[str, Meta(description="A short code for the error.", examples=["ECONNECTION"])]
    attempts_made: Annotated[int, Meta(description="The number of attempts so far, including this one.")]
    on_doubt: Annotated[OnDoubt, Meta(description="What happens if nothing shows whether it arrived.")]
    searching_sent_folder: Annotated[
        bool,
        Meta(description="`true`: the provider files sent mail itself, so the engine searches its Sent folder first."),
    ]
    next_attempt: Annotated[
        When | Off, Meta(description="When it is sent again. `false`: only once you decide so, or never.")
    ]
    sandbox: OfSandbox = UNSET


class MessageCancelled(Response, frozen=True, kw_only=True):
    """`messageCancelled`: the message was cancelled before its final dot and will not be sent."""

    queue_id: _QUEUE_ID
    message_id: _MESSAGE_ID
    gateway: _GATEWAY = UNSET
    envelope: Annotated[
        EnvelopeShown, Meta(description="The SMTP envelope; `to` lists the recipients who will not get the message.")
    ]
    attempts_made: Annotated[int, Meta(description="The number of attempts made before.")]
    sandbox: OfSandbox = UNSET


class MessageCopyFailed(Response, frozen=True, kw_only=True):
    """`messageCopyFailed`: the message was sent, but the engine could not file its copy in the Sent folder."""

    message_id: _MESSAGE_ID
    queue_id: _QUEUE_ID
    path: Annotated[str | None, Meta(description="The folder. `null`: the account has no Sent folder.")]
    error: Annotated[str, Meta(description="The server's last answer.")]
    attempts_made: Annotated[int, Meta(description="The number of attempts.")]
    sandbox: OfSandbox = UNSET


class WebhookGap(Response, frozen=True, kw_only=True):
    """`webhookGap`: retention removed events that a webhook endpoint had yet to post."""

    webhook: Annotated[str, Meta(description="The endpoint's id.", examples=["default"])]
    first: Annotated[int, Meta(description="The number of the first event that may be lost to it.")]
    last: Annotated[int, Meta(description="The number of the last one.")]
    account: Annotated[
        str | UnsetType, Meta(description="Only events of this account are lost. Absent: those of all accounts.")
    ] = UNSET


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
    "oauth2AppWarning": OAuthAppWarning,
    "oauth2AppError": OAuthAppError,
    "exportCompleted": ExportCompleted,
    "exportFailed": ExportFailed,
    **RECIPIENT_EVENT_DATA,
    **MAIL_EVENT_DATA,
}
"""The shape of `data` by event name."""

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
    "oauth2AppWarning",
    "oauth2AppError",
    "exportCompleted",
    "exportFailed",
]
EventName = Literal[_SendingEventName, RecipientEventName, MailEventName]


class Event(Response, frozen=True, kw_only=True):
    """One event."""

    EXAMPLE = {
        "serviceUrl": None,
        "account": "example",
        "date": "2026-11-23T05:48:18.346Z",
        "event": "accountAdded",
        "data": {"account": "example"},
        "seq": 1,
        "eventId": "a5dadce8-b45a-4c69-acce-32093ff7ac78",
    }

    service_url: Annotated[str | None, Meta(description="The setting `serviceUrl`.")] = None
    account: Annotated[
        str | None, Meta(description="The account. `null`: it is an event of the engine.", examples=["example"])
    ] = None
    date: Annotated[When, Meta(description="When it happened.")]
    path: Annotated[str | UnsetType, Meta(description="The folder in which it happened.", examples=["INBOX"])] = UNSET
    special_use: Annotated[str | UnsetType, Meta(description="What that folder is used for.", examples=["\\Inbox"])] = (
        UNSET
    )
    event: Annotated[EventName, Meta(description="The event's name.", examples=["messageSent"])]
    data: Annotated[Any, Meta(description="What happened; its shape depends on `event`.")]
    seq: Annotated[
        int, Meta(description="The event's number: one more than that of the event before it.", examples=[4711])
    ]
    event_id: Annotated[
        str, Meta(description="The event's UUID, the same in every channel.", extra_json_schema={"format": "uuid"})
    ]
    clock_stepped: Annotated[
        bool | UnsetType,
        Meta(
            description="`true`: the clock was set back before this event, so its date may be earlier than that of the "
            "event before it."
        ),
    ] = UNSET
    truncated: Annotated[
        bool | UnsetType,
        Meta(description="`true`: the event would exceed 256 KiB, so long texts and lists in `data` are cut."),
    ] = UNSET


After = Annotated[int, Meta(ge=0, le=2**53)]
OfAccount = Annotated[Filled256 | None, Meta(description="Only events of this account. Absent: of all accounts.")]
Named = Annotated[
    Annotated[str, Meta(max_length=4096, extra={"check": Check.EVENT_NAMES})] | None,
    Meta(
        description="Only events with these names, separated by commas. Absent or `*`: all.",
        examples=["messageSent,messageFailed"],
    ),
]


def names_of(text: str | None) -> frozenset[str] | None:
    """The event names in a comma-separated list; None, which is every one, for `*` or nothing."""
    names = frozenset(name.strip() for name in (text or "").split(",")) - {""}
    return None if not names or "*" in names else names


class EventsQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/events`."""

    EXAMPLE = {"after": 0, "limit": 2}

    after: Annotated[After, Meta(description="Only events numbered above this.", examples=[4711])] = 0
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=1000)], Meta(description="The maximum number of events in the answer.")
    ] = 100
    before: Annotated[
        Annotated[int, Meta(ge=1, le=2**53)] | None,
        Meta(
            description="Only events numbered below this, newest first; a number above the newest event's begins at "
            "the newest. `after` is then the lower bound, and `wait` has no effect. Absent: the events come oldest "
            "first.",
            examples=[4711],
        ),
    ] = None
    wait: Annotated[
        Annotated[int, Meta(ge=0, le=60)],
        Meta(
            description="The maximum number of seconds to wait for an event if there is none yet. More than 50 count "
            "as 50: many proxies cut a request that has had no answer for a minute."
        ),
    ] = 0
    account: OfAccount = None
    events: Named = None


class EventsPage(Response, frozen=True, kw_only=True):
    """Events in the order of their numbers, or newest first."""

    EXAMPLE = {
        "events": [
            {
                "serviceUrl": None,
                "account": "example",
                "date": "2026-11-23T05:48:18.346Z",
                "event": "accountAdded",
                "data": {"account": "example"},
                "seq": 1,
                "eventId": "a5dadce8-b45a-4c69-acce-32093ff7ac78",
            },
            {
                "serviceUrl": None,
                "account": "example",
                "date": "2026-11-23T05:48:18.354Z",
                "event": "authenticationSuccess",
                "data": {"user": "example@sandbox.example"},
                "seq": 2,
                "eventId": "9ce9d8a5-1b88-4c27-8d41-aba4bf02d9ef",
            },
        ],
        "first": 1,
        "last": 12,
        "next": 2,
    }

    events: Annotated[tuple[Event, ...], Meta(description="The events.")]
    first: Annotated[int, Meta(description="The number of the oldest event that is kept. `0`: there is none.")]
    last: Annotated[int, Meta(description="The number of the newest event. `0`: there is none.")]
    next: Annotated[
        int,
        Meta(
            description="The `after` of your next request; it is past the events that the filter left out, too. Newest "
            "first: its `before`; at most `first` when there are no more."
        ),
    ]
