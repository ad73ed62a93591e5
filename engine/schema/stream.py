"""The event stream as it is asked for: the websocket, and server-sent events."""

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
        Meta(description="Replay the events with a number above this first. Absent: only what happens from now on."),
    ] = None
    account: OfAccount = None
    events: Named = None
    consumer: Annotated[
        Name | None,
        Meta(
            description="Name of a consumer whose position the engine keeps; `after` then counts only the first time. "
            "Absent: the reader keeps it itself.",
            examples=["billing"],
        ),
    ] = None
