"""Named consumers of the event stream: the engine keeps the position of each."""

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
        pattern="^(sink:)?[A-Za-z0-9._-]+$",
        description="The consumer's name; that of a sink is `sink:` and the name of the sink.",
        examples=["billing"],
    ),
]
"""A consumer in a path."""


class ConsumerName(Request, frozen=True, kw_only=True):
    """The name of a consumer."""

    consumer: Annotated[Name, Meta(description="The consumer's name.", examples=["billing"])]


class ConsumerMove(Request, frozen=True, kw_only=True):
    """The position to move a consumer to."""

    seq: Annotated[
        After, Meta(description="The number of the last event that the consumer is done with.", examples=[2])
    ]


class ConsumerInfo(Response, frozen=True, kw_only=True):
    """One named consumer of the event stream."""

    consumer: Annotated[str, Meta(description="The consumer's name.", examples=["billing"])]
    account: Annotated[
        str | UnsetType,
        Meta(description="The account of the token that created it. Absent: a token for all accounts did."),
    ] = UNSET
    seq: Annotated[int, Meta(description="The number of the last event it acknowledged.", examples=[2])]
    behind: Annotated[int, Meta(description="How many events it lags behind the newest one.", examples=[10])]
    connected: Annotated[bool, Meta(description="Whether a stream is open for it.", examples=[False])]
    created: Annotated[When, Meta(description="When it was created.")]
    acknowledged: Annotated[When | None, Meta(description="When its position last changed. `null`: never.")]


class ConsumerList(Response, frozen=True, kw_only=True):
    """All named consumers."""

    consumers: Annotated[tuple[ConsumerInfo, ...], Meta(description="The consumers, by name.")]
    last: Annotated[int, Meta(description="The number of the newest event.", examples=[12])]


class ConsumerRemoved(Response, frozen=True, kw_only=True):
    """The consumer is removed."""

    consumer: Annotated[str, Meta(description="The consumer's name.", examples=["billing"])]
    deleted: Annotated[bool, Meta(description="Always `true`.")] = True
