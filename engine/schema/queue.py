"""The queue as a whole, or one account's part of it: how full it is, and pausing it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Filled256, Request, Response

QueueName = Annotated[str, Meta(description="The queue's name.", extra_json_schema={"enum": ["submit"]})]
"""A queue in a path."""


class QueueQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/settings/queue/{queue}`."""

    account: Annotated[Filled256 | None, Meta(description="Only this account's mail. Absent: all.")] = None


class QueueJobs(Response, frozen=True, kw_only=True):
    """How many messages have not ended."""

    active: Annotated[int, Meta(description="Being sent.")]
    delayed: Annotated[int, Meta(description="Due later, held, or in doubt until somebody decides.")]
    paused: Annotated[int, Meta(description="Due, while the queue is paused.")]
    waiting: Annotated[int, Meta(description="Due now.")]


class QueueInfo(Response, frozen=True, kw_only=True):
    """A queue and how full it is."""

    queue: Annotated[Literal["submit"], Meta(description="Its name.")]
    account: Annotated[str | UnsetType, Meta(description="The account asked for. Absent: all.")] = UNSET
    jobs: Annotated[QueueJobs, Meta(description="What is in it.")]
    paused: Annotated[bool, Meta(description="Whether it is paused.")]


class QueueUpdate(Request, frozen=True, kw_only=True):
    """Pauses the sending of mail, or lets it go on. What is being sent is finished; submissions are still taken."""

    paused: Annotated[bool, Meta(description="`true`: pause.")]
    account: Annotated[Filled256 | UnsetType, Meta(description="Only this account's mail. Absent: all.")] = UNSET


class QueueUpdated(Response, frozen=True, kw_only=True):
    """The answer to a pause."""

    queue: Annotated[Literal["submit"], Meta(description="The queue's name.")]
    account: Annotated[str | UnsetType, Meta(description="The account it was about. Absent: all.")] = UNSET
    paused: Annotated[bool, Meta(description="Whether it is paused now.")]
