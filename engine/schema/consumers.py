"""Named consumers of the event stream: the engine keeps how far each has got."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.events import After
from engine.schema.fields import Check, Request, Response, When

Name = Annotated[str, Meta(min_length=1, max_length=100, extra={"check": Check.NAME})]
ConsumerId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern="^[A-Za-z0-9._-]+$",
        description="The consumer's name.",
        examples=["billing"],
    ),
]
"""A consumer in a path."""


class ConsumerName(Request, frozen=True, kw_only=True):
    """What a consumer may be called."""

    consumer: Annotated[Name, Meta(description="The consumer's name.", examples=["billing"])]


class ConsumerMove(Request, frozen=True, kw_only=True):
    """Puts a consumer at a number."""

    seq: Annotated[After, Meta(description="The last number that is done with.", examples=[4711])]


class ConsumerInfo(Response, frozen=True, kw_only=True):
    """One named consumer of the event stream."""

    consumer: Annotated[str, Meta(description="Its name.", examples=["billing"])]
    account: Annotated[str | UnsetType, Meta(description="Whose token made it. Absent: one for all accounts.")] = UNSET
    seq: Annotated[int, Meta(description="The last number it acknowledged.")]
    behind: Annotated[int, Meta(description="How many numbers that is behind the newest one.")]
    connected: Annotated[bool, Meta(description="Whether a stream serves it now.")]
    created: Annotated[When, Meta(description="When it was first used.")]
    acknowledged: Annotated[When | None, Meta(description="When it was last moved. `null`: never.")]


class ConsumerList(Response, frozen=True, kw_only=True):
    """All named consumers."""

    consumers: Annotated[tuple[ConsumerInfo, ...], Meta(description="The consumers, by name.")]
    last: Annotated[int, Meta(description="The newest number there is.")]


class ConsumerRemoved(Response, frozen=True, kw_only=True):
    """The answer to the removal of a consumer."""

    consumer: Annotated[str, Meta(description="Its name.")]
    deleted: Annotated[bool, Meta(description="Always `true`.")] = True
