"""Reading the journal: by polling, or as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import nullcontext

import trio
from quart import Response, request

from engine.api.context import Context
from engine.errors import Problem
from engine.events.journal import Journal
from engine.events.reader import Reader
from engine.events.visible_numbers import VisibleNumbers
from engine.http import sse
from engine.http.account_tokens import Access
from engine.http.bearer_tokens import Validity
from engine.http.operation import Encoded, operation
from engine.schema.events import EventsPage, EventsQuery, names_of
from engine.schema.stream import StreamQuery
from engine.store.tokens import Token

_TAGS = ("Events",)
LONGEST_WAIT = 50.0
"""Maximum seconds of a wait. Many proxies abort a request that gets no answer for a minute."""
MOST_BYTES = 16 * 1024**2
"""An answer over this size ends early; `next` says where to continue."""
MOST_EXAMINED = 50_000
"""Maximum events that one request for the newest examines, with those that its filter leaves out."""


@operation("GET", "/v1/events", access=Access.QUERY, scope="api", group="events", tags=_TAGS)
async def page(context: Context, query: EventsQuery, *, caller: Token) -> Encoded[EventsPage]:
    """Read events.

    Events come in the order of their numbers; with `before`, the newest come first. With `wait`, the engine answers as
    soon as there is an event, or when the wait is over or the engine stops; such a request counts as a stream.
    """
    numbers = context.numbers(caller)
    numbers.refuse_ahead(query.after)
    journal = context.streams.journal
    names = names_of(query.events)
    if query.before is not None:
        return await _newest_first(journal, numbers, query, query.before, names)
    position, size = numbers.start(query.after), 0
    found: list[bytes] = []
    # A request that waits counts as a stream.
    waiting = context.streams.share.hold(caller.hash) if query.wait else nullcontext()
    with waiting, trio.move_on_after(min(query.wait, LONGEST_WAIT)):
        while True:
            while position < journal.last and len(found) < query.limit and size < MOST_BYTES:
                page = journal.page(position, query.limit - len(found), query.account, names)
                position = page.position
                found += [entry[3] for entry in page.entries]
                size += sum(len(entry[3]) for entry in page.entries)
                # Do not let the end of `wait` cancel here, since the events found would be lost.
                await trio.lowlevel.cancel_shielded_checkpoint()
            if found or not query.wait or not await journal.more(position):
                break
    last = numbers.last
    first = min(journal.first, last)
    next_ = max(query.after, numbers.seen(position))
    return Encoded(b'{"events":[%b],"first":%d,"last":%d,"next":%d}\n' % (b",".join(found), first, last, next_))


async def _newest_first(
    journal: Journal, numbers: VisibleNumbers, query: EventsQuery, before: int, names: frozenset[str] | None
) -> Encoded[EventsPage]:
    last = numbers.last
    first = min(journal.first, last)
    position, size = min(before, last + 1), 0
    end = max(query.after + 1, journal.first, position - MOST_EXAMINED)
    found: list[bytes] = []
    while position > end and len(found) < query.limit and size < MOST_BYTES:
        entries, position = journal.page_before(position, end, query.limit - len(found), query.account, names)
        found += [entry[3] for entry in entries]
        size += sum(len(entry[3]) for entry in entries)
        await trio.lowlevel.checkpoint()
    # A token for one account sees no number but its own events'.
    next_ = position if numbers.sees_all or position <= first else numbers.seen(position - 1) + 1
    return Encoded(b'{"events":[%b],"first":%d,"last":%d,"next":%d}\n' % (b",".join(found), first, last, next_))


@operation("GET", "/v1/events/sse", access=Access.QUERY, scope="api", group="events", tags=_TAGS, media=sse.MEDIA)
async def follow(context: Context, query: StreamQuery, *, caller: Token) -> Response:
    """Follow events over HTTP.

    Server-sent events: one message per event, with the event's number as its id.
    """
    journal, numbers = context.streams.journal, context.numbers(caller)
    if query.consumer is not None:
        raise Problem(
            400,
            "Server-sent events have no consumers: acknowledge over the websocket, or with PUT "
            "/v1/events/consumers/{consumer}",
        )
    after = query.after
    if last_id := request.headers.get("Last-Event-ID"):
        if not (last_id.isascii() and last_id.isdecimal() and len(last_id) < 17):
            raise Problem(400, "Last-Event-ID is not an event number")
        after = int(last_id)
    if after is None:
        after, shown = journal.last, numbers.last
    else:
        numbers.refuse_ahead(after)
        shown = after
    reader = Reader(journal, context.streams.hub, after, query.account, names_of(query.events))
    return sse.stream(context.streams.share, caller, _frames(reader, shown, context.validity(caller)))


async def _frames(reader: Reader, begin: int, validity: Validity) -> AsyncGenerator[bytes, None]:
    with reader.counted():
        # Send the number first, without an event: a client that is cut off before the first event must resume here.
        yield b"id: %d\nretry: %d\n" % (begin, sse.RETRY) + sse.GREETING
        while True:
            page, silent = None, True
            with trio.move_on_after(min(sse.KEEP_ALIVE, validity.seconds())):
                page, silent = await reader.next(), False
            if (page is None and not silent) or not validity.holds():
                return
            if page is None:
                yield sse.STILL_HERE
                continue
            frames = [b"id: %d\ndata: %b\n\n" % (entry[0], entry[3]) for entry in page.entries]
            if page.first is not None:
                frames.insert(0, b'event: gap\ndata: {"stream":"gap","first":%d}\n\n' % page.first)
            yield b"".join(frames)
