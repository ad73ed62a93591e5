"""Webhook endpoints made through the API: how they are told what to do, shown, replayed, and what they put aside."""

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

_URL = "URL that events are posted to."
_DESCRIPTION = "What it is for, in your words."
_EVENTS = "Names of the events posted. `null`, absent or `*` among them: all."
_ACCOUNTS = "Accounts whose events are posted. `null` or absent: all."
_HEADERS = "Headers that go with every post. Absent: none."
_SECRETS = (
    "Secrets that sign, the newest first: `whsec_` and base64. All of them sign, so a receiver may know any. "
    "Absent: the engine makes one."
)
_ENABLED = "Whether events are posted. What happens meanwhile is posted later."
_FILTER = "JMESPath: only events it is true for are posted. `null` or absent: all."
_MAP = "JMESPath: what it makes of the event is posted instead. `null` or absent: the event itself."
_AFTER = "Only events with a number above this."
_SINCE = "Only events from this moment on."

WebhookId = Annotated[str, Meta(min_length=1, description="The endpoint's id.", examples=["default"])]
"""An endpoint in a path."""
_Seq = Annotated[int, Meta(ge=0, le=2**53)]
_Names = Annotated[tuple[Filled256, ...], Meta(max_length=1000)]
_Headers = Annotated[tuple[CustomHeader, ...], Meta(max_length=100)]
_Secret = Annotated[str, Meta(extra={"check": Check.SECRET}, examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]
_Secrets = Annotated[tuple[_Secret, ...], Meta(max_length=10)]
_Expression = Annotated[str, Meta(min_length=1, max_length=2000, extra={"check": Check.EXPRESSION})]
_Description = Annotated[Line, Meta(max_length=1024)]


class WebhookCreate(Request, frozen=True, kw_only=True):
    """Makes a webhook endpoint."""

    url: Annotated[WebUrl, Meta(description=_URL, examples=["https://app.example.com/hooks/mail"])]
    description: Annotated[_Description, Meta(description=_DESCRIPTION)] = ""
    events: Annotated[EventNames | None, Meta(description=_EVENTS, examples=[["messageSent", "messageFailed"]])] = None
    accounts: Annotated[_Names | None, Meta(description=_ACCOUNTS)] = None
    headers: Annotated[_Headers, Meta(description=_HEADERS)] = ()
    secrets: Annotated[_Secrets | UnsetType, Meta(description=_SECRETS)] = UNSET
    enabled: Annotated[bool, Meta(description=_ENABLED)] = True
    filter: Annotated[_Expression | None, Meta(description=_FILTER, examples=["data.rejected"])] = None
    map: Annotated[_Expression | None, Meta(description=_MAP, examples=["{id: data.queueId, what: event}"])] = None
    after: Annotated[
        _Seq | None, Meta(description=_AFTER + " Absent: only what happens from now on.", examples=[0])
    ] = None


class WebhookUpdate(Request, frozen=True, kw_only=True):
    """Changes an endpoint: what is absent stays as it is. It goes on where it stands, at once."""

    url: Annotated[WebUrl | UnsetType, Meta(description=_URL)] = UNSET
    description: Annotated[_Description | UnsetType, Meta(description=_DESCRIPTION)] = UNSET
    events: Annotated[EventNames | UnsetType | None, Meta(description=_EVENTS)] = UNSET
    accounts: Annotated[_Names | UnsetType | None, Meta(description=_ACCOUNTS)] = UNSET
    headers: Annotated[_Headers | UnsetType, Meta(description=_HEADERS)] = UNSET
    secrets: Annotated[_Secrets | UnsetType, Meta(description=_SECRETS)] = UNSET
    enabled: Annotated[bool | UnsetType, Meta(description=_ENABLED)] = UNSET
    filter: Annotated[_Expression | UnsetType | None, Meta(description=_FILTER)] = UNSET
    map: Annotated[_Expression | UnsetType | None, Meta(description=_MAP)] = UNSET


class WebhookCreated(Response, frozen=True, kw_only=True):
    """The answer to the making of an endpoint. Its secrets are shown this once."""

    id: Annotated[str, Meta(description="Its id.", examples=["wh_5f2b8c9d01e34a67"])]
    secrets: Annotated[tuple[str, ...], Meta(description="Its secrets.")]
    seq: Annotated[int, Meta(description="It posts events numbered above this.")]


class WebhookError(Response, frozen=True, kw_only=True):
    """What went wrong last."""

    message: Annotated[str, Meta(description="In plain words.", examples=["the answer was 500"])]
    time: Annotated[When, Meta(description="When.")]
    seq: Annotated[int | UnsetType, Meta(description="With which event.")] = UNSET
    account: Annotated[str | UnsetType | None, Meta(description="Whose that is.")] = UNSET
    status: Annotated[int | UnsetType | None, Meta(description="The HTTP status. `null`: no answer.")] = UNSET


class WebhookLine(Response, frozen=True, kw_only=True):
    """An account whose events wait for their next attempt at an endpoint."""

    account: Annotated[str | None, Meta(description="The account. `null`: the engine's own events.")]
    seq: Annotated[int, Meta(description="Its events up to this number are done with.")]
    attempts: Annotated[int, Meta(description="Failed attempts at the next one.")]
    next_attempt: Annotated[When | None, Meta(description="When the next attempt is due. `null`: at once, or gone.")]
    error: Annotated[str | None, Meta(description="Why the last one failed.")]


class WebhookFiltered(Response, frozen=True, kw_only=True):
    """What an endpoint's filter has done since it was set."""

    passed: Annotated[int, Meta(description="Events it let through.")]
    left_out: Annotated[int, Meta(description="Events it left out.")]
    last_passed: Annotated[When | None, Meta(description="When it last let one through. `null`: never yet.")] = None


class WebhookInfo(Response, frozen=True, kw_only=True):
    """One endpoint and how it is. Secrets are masked."""

    id: Annotated[str, Meta(description="Its id. `default` is the endpoint of the settings.")]
    url: Annotated[str | None, Meta(description=_URL)]
    description: Annotated[str, Meta(description=_DESCRIPTION)] = ""
    account: Annotated[str | UnsetType, Meta(description="Whose token made it. Absent: one for all accounts.")] = UNSET
    events: Annotated[tuple[str, ...] | None, Meta(description=_EVENTS)] = None
    accounts: Annotated[tuple[str, ...] | None, Meta(description=_ACCOUNTS)] = None
    headers: Annotated[tuple[CustomHeader, ...], Meta(description=_HEADERS)] = ()
    secrets: Annotated[tuple[str, ...], Meta(description="One mask for each secret.")] = ()
    enabled: Annotated[bool, Meta(description=_ENABLED)]
    filter: Annotated[str | None, Meta(description=_FILTER)] = None
    map: Annotated[str | None, Meta(description=_MAP)] = None
    replay_of: Annotated[str | UnsetType, Meta(description="The endpoint it replays.")] = UNSET
    until: Annotated[int | UnsetType, Meta(description="The number a replay ends with.")] = UNSET
    state: Annotated[
        Literal["ok", "failing", "disabled", "no events", "no url"],
        Meta(
            description="`failing`: something waits for its next attempt. `disabled`: nothing is posted. `no events`: "
            "enabled, but `events` names none that this engine raises, or `accounts` no account. `no url`: enabled, "
            "but there is nowhere to post to. In these three, what happens waits and is posted later."
        ),
    ]
    disabled_reason: Annotated[str | UnsetType, Meta(description="Why the engine disabled it.")] = UNSET
    seq: Annotated[int, Meta(description="Done with everything up to this number, `lines` excepted.")]
    behind: Annotated[int, Meta(description="How many numbers that is behind the newest one.")]
    delivered: Annotated[int, Meta(description="Events taken so far.")]
    filtered: Annotated[
        WebhookFiltered | None, Meta(description="What its `filter` has done. `null`: it has none.")
    ] = None
    parked: Annotated[int, Meta(description="Events put aside.")]
    lines: Annotated[tuple[WebhookLine, ...], Meta(description="Accounts in trouble, at most a hundred.")] = ()
    last_success: Annotated[When | None, Meta(description="When an event was last taken.")] = None
    failing_since: Annotated[When | None, Meta(description="Since when something has been failing.")] = None
    last_error: Annotated[WebhookError | None, Meta(description="What went wrong last.")] = None
    created: Annotated[When, Meta(description="When it was made.")]
    updated: Annotated[When, Meta(description="When it was last changed.")]


class WebhookList(Page, frozen=True, kw_only=True):
    """One page of endpoints."""

    webhooks: Annotated[tuple[WebhookInfo, ...], Meta(description="The endpoints on this page.")]


class WebhookUpdated(Response, frozen=True, kw_only=True):
    """The answer to a change of an endpoint."""

    id: Annotated[str, Meta(description="Its id.")]


class WebhookRemoved(Response, frozen=True, kw_only=True):
    """The answer to the removal of an endpoint."""

    id: Annotated[str, Meta(description="Its id.")]
    deleted: Annotated[bool, Meta(description="Always `true`.")] = True


class WebhookTested(Response, frozen=True, kw_only=True):
    """How a test event went."""

    success: Annotated[bool, Meta(description="Whether it was taken.")]
    status: Annotated[int | None, Meta(description="The HTTP status. `null`: no answer.")]
    message: Annotated[str, Meta(description="In plain words.")]
    took: Annotated[int, Meta(description="Milliseconds.")]
    verifies: Annotated[
        bool | None,
        Meta(
            description="Whether the receiver checks signatures: `true` when it refused a second test, signed with "
            "another secret, `false` when it took that too. `null`: unknown, since the first test was not taken, was "
            "not signed, or the second had no clear answer."
        ),
    ]


class WebhookReplay(Request, frozen=True, kw_only=True):
    """Posts events again, from a number or a moment on."""

    after: Annotated[_Seq | None, Meta(description=_AFTER + " Absent: see `since`.", examples=[4711])] = None
    since: Annotated[Instant | None, Meta(description=_SINCE + " Absent: see `after`.")] = None
    url: Annotated[
        WebUrl | None,
        Meta(
            description="Post them here instead, up to the newest event there is now, by an endpoint of its own that "
            "goes when it is done. Absent: the endpoint itself goes back."
        ),
    ] = None

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """One of both says from where."""
        if (get("after") is None) == (get("since") is None):
            yield "", "must contain either after or since"


class WebhookReplayed(Response, frozen=True, kw_only=True):
    """The answer to a replay."""

    id: Annotated[str, Meta(description="The endpoint that posts.")]
    seq: Annotated[int, Meta(description="It posts events numbered above this.")]
    until: Annotated[int | UnsetType, Meta(description="The last number it posts.")] = UNSET


class ParkedEvent(Response, frozen=True, kw_only=True):
    """An event that an endpoint did not take."""

    seq: Annotated[int, Meta(description="Its number.")]
    account: Annotated[str | None, Meta(description="Whose it is.")]
    event: Annotated[str, Meta(description="Its name.")]
    attempts: Annotated[int, Meta(description="How often it was tried.")]
    reason: Annotated[str, Meta(description="Why it was not taken.")]
    parked: Annotated[When, Meta(description="When it was put aside.")]
    retrying: Annotated[bool, Meta(description="Whether it is about to be tried again.")]


class ParkedList(Page, frozen=True, kw_only=True):
    """One page of what an endpoint put aside."""

    parked: Annotated[tuple[ParkedEvent, ...], Meta(description="The events on this page, by number.")]


class ParkedAction(Request, frozen=True, kw_only=True):
    """What becomes of parked events."""

    action: Annotated[Literal["retry", "skip"], Meta(description="`retry`: post them again. `skip`: forget them.")]
    seqs: Annotated[
        Annotated[tuple[_Seq, ...], Meta(max_length=1000)] | None, Meta(description="Which. Absent: all.")
    ] = None


class ParkedDone(Response, frozen=True, kw_only=True):
    """The answer to that."""

    events: Annotated[int, Meta(description="How many there were.")]
