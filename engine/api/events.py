"""Reading the journal by polling."""

from __future__ import annotations

from engine.api.context import Context
from engine.schema.events import EventsQuery


async def page(context: Context, query: EventsQuery) -> bytes:
    """`GET /v1/events`: the very bytes every other channel sends, in one JSON document."""
    journal = context.services.journal
    bodies = [body for _, _, body in journal.read(query.after, query.limit, query.account)]
    first, last = journal.bounds()
    return b'{"events":[%b],"first":%d,"last":%d}' % (b",".join(bodies), first, last)
