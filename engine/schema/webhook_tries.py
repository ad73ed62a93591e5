"""Trying a webhook's filter and map on an event."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Request, Response
from engine.schema.webhooks import FILTER, MAP, Expression


class WebhookTry(Request, frozen=True, kw_only=True):
    """Expressions to try, and on which event."""

    EXAMPLE = {"seq": 14, "filter": "data.queueId", "map": "{id: data.queueId, what: event}"}

    seq: Annotated[
        Annotated[int, Meta(ge=1, le=2**53)],
        Meta(description="The number of the event; one that is still kept.", examples=[14]),
    ]
    filter: Annotated[Expression | None, Meta(description=FILTER)] = None
    map: Annotated[Expression | None, Meta(description=MAP)] = None


class WebhookTried(Response, frozen=True, kw_only=True):
    """What the expressions make of the event. Nothing was posted."""

    EXAMPLE = {"seq": 14, "event": "messageSent", "passes": True, "body": {"id": "1a20313426c0f27d36e"}}

    seq: Annotated[int, Meta(description="The event's number.", examples=[14])]
    event: Annotated[str, Meta(description="The event's name.", examples=["messageSent"])]
    passes: Annotated[bool, Meta(description="Whether the filter lets the event pass, and the map fits it.")]
    body: Annotated[
        Any, Meta(description="What would be posted. Absent: nothing would be, since the event does not pass.")
    ] = UNSET
    error: Annotated[
        str | UnsetType,
        Meta(
            description="Why an expression does not fit the event, which would be parked. Absent: both fit.",
            examples=["the filter cannot be applied: length() needs a list"],
        ),
    ] = UNSET
