"""Webhook endpoints: how they are created, changed, shown and replayed, and the events they have parked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import (
    Check,
    CustomHeader,
    EventNames,
    Filled256,
    Instant,
    Line,
    Request,
    Response,
    WebUrl,
    When,
)
from engine.schema.paging import Page

_URL = "The URL that events are posted to."
_DESCRIPTION = "What the endpoint is for, in your words."
_EVENTS = (
    "The names of the events to post. `null`, absent, or `*` among them: all events. An empty list posts nothing, and "
    "`state` is `no events`."
)
_ACCOUNTS = "The accounts whose events are posted. `null` or absent: all accounts. An empty list posts nothing."
_HEADERS = "Headers that accompany every post. Absent: none."
_SECRETS = (
    "The secrets that sign, the newest first: `whsec_` and base64. All of them sign, so a receiver may know any of "
    "them. Absent: the engine creates one."
)
_ENABLED = "Whether events are posted. `false`: events wait, and are posted later."
FILTER = "A JMESPath expression: only events for which it is true are posted. `null` or absent: all events."
MAP = "A JMESPath expression: its result is posted in place of the event. `null` or absent: the event itself."
_AFTER = "Only events numbered above this; `0` is all events that are kept."
_SINCE = "Only events from this moment on."

WebhookId = Annotated[str, Meta(min_length=1, description="The endpoint's id.", examples=["wh_5f2b8c9d01e34a67"])]
"""An endpoint in a path."""
_Seq = Annotated[int, Meta(ge=0, le=2**53)]
_Names = Annotated[tuple[Filled256, ...], Meta(max_length=1000)]
_Headers = Annotated[tuple[CustomHeader, ...], Meta(max_length=100)]
_Secret = Annotated[str, Meta(extra={"check": Check.SECRET}, examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]
_Secrets = Annotated[tuple[_Secret, ...], Meta(max_length=10)]
Expression = Annotated[str, Meta(min_length=1, max_length=2000, extra={"check": Check.EXPRESSION})]
_Description = Annotated[Line, Meta(max_length=1024)]


class WebhookCreate(Request, frozen=True, kw_only=True):
    """An endpoint to create."""

    EXAMPLE = {
        "url": "https://app.example.com/hook",
        "events": ["messageSent", "messageFailed"],
        "filter": "data.rejected",
        "headers": [{"key": "X-Api-Key", "value": "..."}],
    }

    url: Annotated[WebUrl, Meta(description=_URL, examples=["https://app.example.com/hooks/mail"])]
    description: Annotated[_Description, Meta(description=_DESCRIPTION)] = ""
    events: Annotated[EventNames | None, Meta(description=_EVENTS, examples=[["messageSent", "messageFailed"]])] = None
    accounts: Annotated[_Names | None, Meta(description=_ACCOUNTS)] = None
    headers: Annotated[_Headers, Meta(description=_HEADERS)] = ()
    secrets: Annotated[_Secrets | UnsetType, Meta(description=_SECRETS)] = UNSET
    enabled: Annotated[bool, Meta(description=_ENABLED)] = True
    filter: Annotated[Expression | None, Meta(description=FILTER, examples=["data.rejected"])] = None
    map: Annotated[Expression | None, Meta(description=MAP, examples=["{id: data.queueId, what: event}"])] = None
    after: Annotated[_Seq | None, Meta(description=_AFTER + " Absent: only events from now on.", examples=[0])] = None


class WebhookUpdate(Request, frozen=True, kw_only=True):
    """A change of an endpoint. Absent members stay as they are."""

    EXAMPLE = {"description": "CRM"}

    url: Annotated[WebUrl | UnsetType, Meta(description=_URL)] = UNSET
    description: Annotated[_Description | UnsetType, Meta(description=_DESCRIPTION)] = UNSET
    events: Annotated[EventNames | UnsetType | None, Meta(description=_EVENTS)] = UNSET
    accounts: Annotated[_Names | UnsetType | None, Meta(description=_ACCOUNTS)] = UNSET
    headers: Annotated[_Headers | UnsetType, Meta(description=_HEADERS)] = UNSET
    secrets: Annotated[_Secrets | UnsetType, Meta(description=_SECRETS)] = UNSET
    enabled: Annotated[bool | UnsetType, Meta(description=_ENABLED)] = UNSET
    filter: Annotated[Expression | UnsetType | None, Meta(description=FILTER)] = UNSET
    map: Annotated[Expression | UnsetType | None, Meta(description=MAP)] = UNSET


class WebhookCreated(Response, frozen=True, kw_only=True):
    """The endpoint is created."""

    id: Annotated[str, Meta(description="The endpoint's id.", examples=["wh_5f2b8c9d01e34a67"])]
    secrets: Annotated[
        tuple[str, ...], Meta(description="The endpoint's secrets, shown only here.", examples=[["whsec_…"]])
    ]
    seq: Annotated[int, Meta(description="The endpoint posts the events numbered above this.", examples=[12])]


class WebhookError(Response, frozen=True, kw_only=True):
    """What last went wrong."""

    message: Annotated[str, Meta(description="The error in plain words.", examples=["the answer was 500"])]
    time: Annotated[When, Meta(description="When it happened.")]
    seq: Annotated[int | UnsetType, Meta(description="The number of the event that was posted.")] = UNSET
    account: Annotated[str | UnsetType | None, Meta(description="The account of that event.")] = UNSET
    status: Annotated[int | UnsetType | None, Meta(description="The HTTP status. `null`: there was no answer.")] = UNSET


class WebhookLine(Response, frozen=True, kw_only=True):
    """An account whose events wait for the next attempt to post them."""

    account: Annotated[str | None, Meta(description="The account. `null`: the engine's own events.")]
    seq: Annotated[int, Meta(description="The events up to this number are done with.")]
    attempts: Annotated[int, Meta(description="The number of failed attempts to post the next event.")]
    next_attempt: Annotated[
        When | None, Meta(description="When the next attempt is due. `null`: at once, or the URL is gone (410).")
    ]
    error: Annotated[str | None, Meta(description="Why the last attempt failed.")]


class WebhookFiltered(Response, frozen=True, kw_only=True):
    """What an endpoint's filter has done since it was set."""

    passed: Annotated[int, Meta(description="The number of events that passed it.")]
    left_out: Annotated[int, Meta(description="The number of events that it left out.")]
    last_passed: Annotated[When | None, Meta(description="When an event last passed it. `null`: never.")] = None


class WebhookInfo(Response, frozen=True, kw_only=True):
    """One endpoint and its health. Secrets are masked."""

    EXAMPLE = {
        "id": "wh_5f2b8c9d01e34a67",
        "url": "https://app.example.com/hook",
        "description": "",
        "events": ["messageSent", "messageFailed"],
        "accounts": None,
        "headers": [{"key": "X-Api-Key", "value": "******"}],
        "secrets": ["******"],
        "enabled": True,
        "filter": "data.rejected",
        "map": None,
        "state": "failing",
        "seq": 14,
        "behind": 0,
        "delivered": 1,
        "filtered": {"passed": 2, "leftOut": 12, "lastPassed": "2026-11-23T05:48:24.001Z"},
        "parked": 0,
        "lines": [
            {
                "account": "example",
                "seq": 13,
                "attempts": 2,
                "nextAttempt": "2026-11-23T05:48:59.088Z",
                "error": "the answer was 500: oops",
            }
        ],
        "lastSuccess": "2026-11-23T05:48:19.390Z",
        "failingSince": "2026-11-23T05:48:24.061Z",
        "lastError": {
            "message": "the answer was 500: oops",
            "time": "2026-11-23T05:48:29.083Z",
            "seq": 14,
            "account": "example",
            "status": 500,
        },
        "created": "2026-11-23T05:48:18.346Z",
        "updated": "2026-11-23T05:48:18.346Z",
    }

    id: Annotated[str, Meta(description="The endpoint's id. `default` is the endpoint of the settings.")]
    url: Annotated[str | None, Meta(description=_URL)]
    description: Annotated[str, Meta(description=_DESCRIPTION)] = ""
    account: Annotated[
        str | UnsetType,
        Meta(description="The account of the token that created it. Absent: a token for all accounts did."),
    ] = UNSET
    events: Annotated[tuple[str, ...] | None, Meta(description=_EVENTS)] = None
    accounts: Annotated[tuple[str, ...] | None, Meta(description=_ACCOUNTS)] = None
    headers: Annotated[tuple[CustomHeader, ...], Meta(description=_HEADERS)] = ()
    secrets: Annotated[tuple[str, ...], Meta(description="One mask for each secret.")] = ()
    enabled: Annotated[bool, Meta(description=_ENABLED)]
    filter: Annotated[str | None, Meta(description=FILTER)] = None
    map: Annotated[str | None, Meta(description=MAP)] = None
    replay_of: Annotated[str | UnsetType, Meta(description="The endpoint it replays.")] = UNSET
    until: Annotated[int | UnsetType, Meta(description="The number of the last event that a replay posts.")] = UNSET
    state: Annotated[
        Literal["ok", "failing", "disabled", "no events", "no url", "paused"],
        Meta(
            description="`failing`: an event waits for another attempt. `disabled`: nothing is posted. `no events`: it "
            "is enabled, but `events` names no event that this engine raises, or `accounts` is empty. `no url`: it is "
            "enabled, but has no URL. `paused`: so is the queue `notify`. In the last four, events wait and are posted "
            "later."
        ),
    ]
    disabled_reason: Annotated[str | UnsetType, Meta(description="Why the engine disabled it.")] = UNSET
    seq: Annotated[
        int, Meta(description="The endpoint is done with all events up to this number, except those of `lines`.")
    ]
    behind: Annotated[int, Meta(description="How many events it lags behind the newest one.")]
    delivered: Annotated[int, Meta(description="The number of events that the receiver has accepted.")]
    filtered: Annotated[
        WebhookFiltered | None, Meta(description="What its `filter` has done. `null`: it has none.")
    ] = None
    parked: Annotated[int, Meta(description="The number of parked events.")]
    lines: Annotated[
        tuple[WebhookLine, ...], Meta(description="The accounts whose events wait for another attempt; at most 100.")
    ] = ()
    last_success: Annotated[When | None, Meta(description="When the receiver last accepted an event.")] = None
    failing_since: Annotated[When | None, Meta(description="When posts began to fail. `null`: none fails.")] = None
    last_error: Annotated[WebhookError | None, Meta(description="What last went wrong. `null`: nothing yet.")] = None
    created: Annotated[When, Meta(description="When it was created.")]
    updated: Annotated[When, Meta(description="When it was last changed.")]


class WebhookList(Page, frozen=True, kw_only=True):
    """One page of endpoints."""

    webhooks: Annotated[tuple[WebhookInfo, ...], Meta(description="The endpoints on this page.")]


class WebhookUpdated(Response, frozen=True, kw_only=True):
    """The endpoint is changed."""

    id: Annotated[str, Meta(description="The endpoint's id.", examples=["wh_5f2b8c9d01e34a67"])]


class WebhookRemoved(Response, frozen=True, kw_only=True):
    """The endpoint is removed."""

    id: Annotated[str, Meta(description="The endpoint's id.", examples=["wh_5f2b8c9d01e34a67"])]
    deleted: Annotated[bool, Meta(description="Always `true`.")] = True


class WebhookTested(Response, frozen=True, kw_only=True):
    """How the receiver answered."""

    success: Annotated[bool, Meta(description="Whether the receiver accepted the event.")]
    status: Annotated[int | None, Meta(description="The HTTP status. `null`: there was no answer.", examples=[200])]
    message: Annotated[str, Meta(description="The result in plain words.", examples=["the answer was 200"])]
    took: Annotated[int, Meta(description="How long it took, in milliseconds.", examples=[12])]
    verifies: Annotated[
        bool | None,
        Meta(
            description="Whether the receiver checks signatures. `true`: it refused a second test event, signed with "
            "another secret. `false`: it accepted that one, too. `null`: unknown, because it did not accept the first "
            "event, the event was not signed, or the second had no clear answer."
        ),
    ]


class WebhookReplay(Request, frozen=True, kw_only=True):
    """Where to begin, and where to post. Exactly one of `after` and `since`."""

    EXAMPLE = {"after": 0}

    after: Annotated[_Seq | None, Meta(description=_AFTER + " Absent: see `since`.", examples=[4711])] = None
    since: Annotated[Instant | None, Meta(description=_SINCE + " Absent: see `after`.")] = None
    url: Annotated[
        WebUrl | None,
        Meta(
            description="Post the events to this URL, up to the newest one there is now; the engine creates an "
            "endpoint for that and removes it when it is done. Absent: the endpoint itself goes back and posts "
            "everything from there on again."
        ),
    ] = None

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """One of the two says where to begin."""
        if (get("after") is None) == (get("since") is None):
            yield "", "must contain either after or since"


class WebhookReplayed(Response, frozen=True, kw_only=True):
    """The replay has begun."""

    id: Annotated[str, Meta(description="The endpoint that posts.", examples=["wh_5f2b8c9d01e34a67"])]
    seq: Annotated[int, Meta(description="It posts the events numbered above this.", examples=[0])]
    until: Annotated[int | UnsetType, Meta(description="The number of the last event it posts.")] = UNSET


class ParkedEvent(Response, frozen=True, kw_only=True):
    """An event that the receiver did not accept."""

    seq: Annotated[int, Meta(description="The event's number.", examples=[14])]
    account: Annotated[
        str | None, Meta(description="The event's account. `null`: it is the engine's own.", examples=["example"])
    ]
    event: Annotated[str, Meta(description="The event's name.", examples=["messageSent"])]
    attempts: Annotated[int, Meta(description="The number of attempts to post it.", examples=[11])]
    reason: Annotated[str, Meta(description="Why it was not accepted.", examples=["the answer was 500"])]
    parked: Annotated[When, Meta(description="When it was parked.")]
    retrying: Annotated[bool, Meta(description="Whether another attempt is about to begin.", examples=[False])]


class ParkedList(Page, frozen=True, kw_only=True):
    """One page of parked events."""

    parked: Annotated[tuple[ParkedEvent, ...], Meta(description="The events on this page, by number.")]


class ParkedAction(Request, frozen=True, kw_only=True):
    """What to do with parked events."""

    action: Annotated[
        Literal["retry", "skip"], Meta(description="`retry`: post them again, out of order. `skip`: forget them.")
    ]
    seqs: Annotated[
        Annotated[tuple[_Seq, ...], Meta(max_length=1000)] | None,
        Meta(description="The numbers of the events. Absent: all parked events."),
    ] = None


class ParkedDone(Response, frozen=True, kw_only=True):
    """The number of events that this affected."""

    events: Annotated[int, Meta(description="The number of events.", examples=[1])]
