"""The queues: how full they are, and pausing them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Filled256, Request, Response, When

QueueName = Annotated[
    str,
    Meta(
        description="The queue's name: `submit` holds mail to be sent, `notify` events for webhooks, `documents` "
        "nothing.",
        examples=["submit"],
        extra_json_schema={"enum": ["submit", "notify", "documents"]},
    ),
]
"""A queue in a path."""
Queue = Literal["submit", "notify", "documents"]
QUEUES: tuple[Queue, ...] = ("submit", "notify", "documents")


class QueueQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/settings/queue/{queue}`."""

    EXAMPLE = {"account": "example"}

    account: Annotated[Filled256 | None, Meta(description="Only this account's mail. Absent: all mail.")] = None


class QueueJobs(Response, frozen=True, kw_only=True):
    """The number of messages that have not ended, or of events that a webhook endpoint is not done with."""

    active: Annotated[int, Meta(description="Messages being sent.", examples=[0])]
    delayed: Annotated[int, Meta(description="Messages that are due later, held, or await a decision.", examples=[0])]
    paused: Annotated[int, Meta(description="Always 0: while the queue is paused, they are `waiting`.", examples=[0])]
    waiting: Annotated[int, Meta(description="Messages that are due.", examples=[0])]


class QueueInfo(Response, frozen=True, kw_only=True):
    """How full the queue is."""

    queue: Annotated[Queue, Meta(description="The queue's name.")]
    account: Annotated[
        str | UnsetType, Meta(description="The `account` of the request. Absent: all mail.", examples=["example"])
    ] = UNSET
    jobs: Annotated[QueueJobs, Meta(description="The messages in it.")]
    paused: Annotated[bool, Meta(description="Whether it is paused.")]
    oldest: Annotated[
        When | None,
        Meta(
            description="For `submit`: when the message that has waited longest became due. For `notify`: when the "
            "oldest event happened that an endpoint has not examined yet. `null`: nothing waits.",
        ),
    ] = None


class QueueUpdate(Request, frozen=True, kw_only=True):
    """Whether the queue is to be paused."""

    EXAMPLE = {"paused": True, "account": "example"}

    paused: Annotated[
        bool | UnsetType, Meta(description="`true`: pause. `false`: resume. Absent: leave it as it is.")
    ] = UNSET
    account: Annotated[
        Filled256 | UnsetType, Meta(description="Only this account's mail. Absent: all mail.", examples=["example"])
    ] = UNSET


class QueueUpdated(Response, frozen=True, kw_only=True):
    """The queue is paused or resumed."""

    queue: Annotated[Queue, Meta(description="The queue's name.")]
    account: Annotated[
        str | UnsetType, Meta(description="The `account` of the request. Absent: all mail.", examples=["example"])
    ] = UNSET
    paused: Annotated[bool, Meta(description="Whether it is now paused.")]
