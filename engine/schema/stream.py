"""What a client of the event stream asks for, over the websocket or as server-sent events."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engine.schema.consumers import Name
from engine.schema.events import After, Named, OfAccount
from engine.schema.fields import Request


class StreamQuery(Request, frozen=True, kw_only=True):
    """Query of the websocket `/v1/events/stream` and of `/v1/events/sse`."""

    after: Annotated[
        After | None,
        Meta(
            description="Begin with the events numbered above this. Absent: only events from now on.", examples=[4711]
        ),
    ] = None
    account: OfAccount = None
    events: Named = None
    consumer: Annotated[
        Name | None,
        Meta(
            description="The name of a consumer whose position the engine keeps; `after` then counts only the first "
            "time. Only over the websocket. Absent: the client keeps its position itself.",
            examples=["billing"],
        ),
    ] = None
