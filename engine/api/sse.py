"""Server-sent events: the journal with `Last-Event-ID`, and `/v1/changes`.

Both end with the connection: a browser's EventSource comes back by itself, with the last id it saw, and goes on there.
A client that does not read is cut off by the server's write limit; until then it holds one page. A silent stream sends
a comment now and then, so that whoever stands between does not close it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
import trio
from quart import Response, request

from engine.api import horizon
from engine.api.auth import Validity
from engine.api.context import Context, until_answered
from engine.api.events import names_of
from engine.errors import Problem
from engine.events.changes import Changes
from engine.events.reader import Reader
from engine.schema.events import ChangesQuery, StreamQuery
from engine.store.tokens import Token
from engine.version import VERSION

KEEP_ALIVE = 25.0
"""Seconds; proxies close what is silent for 50 or 60."""
RETRY = 1000
"""Milliseconds a browser waits before it comes back."""


async def events(context: Context, query: StreamQuery, *, caller: Token) -> Response:
    """`GET /v1/events/sse`: as the websocket, one message an event, its number as the id."""
    journal, streams = context.services.journal, context.streams
    if query.consumer is not None:
        raise Problem(400, "A consumer acknowledges over the websocket, or with PUT /v1/events/consumers/{consumer}")
    after = query.after
    if last_id := request.headers.get("Last-Event-ID"):
        if not (last_id.isascii() and last_id.isdecimal() and len(last_id) < 17):
            raise Problem(400, "Last-Event-ID is not the number of an event")
        after = int(last_id)
    if after is None:
        after, shown = journal.last, horizon.last(context, caller.account)
    else:
        horizon.refuse_ahead(context, caller.account, after)
        shown = after
    reader = Reader(journal, streams.hub, after, query.account, names_of(query.events))
    return _stream(context, caller, _events(reader, shown, _validity(context, caller)))


async def changes(context: Context, query: ChangesQuery, *, caller: Token) -> Response:
    """`GET /v1/changes`: what accounts' states change to from now on."""
    return _stream(context, caller, _changes(context.changes, query.account, _validity(context, caller)))


def _validity(context: Context, caller: Token) -> Validity:
    return Validity(context.services.store.reader, context.services.world, caller)


def _stream(context: Context, caller: Token, frames: AsyncGenerator[bytes, None]) -> Response:
    # Now, while it can still be refused, and not when its first frame is asked for: others may come in between.
    until_answered(request).enter_context(context.streams.share.hold(caller.hash))
    response = Response(
        frames,
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
        },
    )
    response.timeout = None
    return response


async def _events(reader: Reader, begin: int, validity: Validity) -> AsyncGenerator[bytes, None]:
    with reader.counted():
        # The number comes first, without an event: who is cut off before there is one must come back to where it began.
        yield b"id: %d\nretry: %d\n: Mailbox Engine v%b\n\n" % (begin, RETRY, VERSION.encode())
        while True:
            page, silent = None, True
            with trio.move_on_after(min(KEEP_ALIVE, validity.seconds())):
                page, silent = await reader.next(), False
            if (page is None and not silent) or not validity.holds():
                return
            if page is None:
                yield b": still here\n\n"
                continue
            frames = [b"id: %d\ndata: %b\n\n" % (entry[0], entry[3]) for entry in page.entries]
            if page.first is not None:
                frames.insert(0, b'event: gap\ndata: {"stream":"gap","first":%d}\n\n' % page.first)
            yield b"".join(frames)


async def _changes(changes: Changes, account: str | None, validity: Validity) -> AsyncGenerator[bytes, None]:
    with changes.watching(account) as watcher:
        yield b": Mailbox Engine v%b\n\n" % VERSION.encode()
        while not changes.stopped:
            found, silent = [], True
            with trio.move_on_after(min(KEEP_ALIVE, validity.seconds())):
                found, silent = await watcher.take(), False
            if not validity.holds():
                return
            if silent:
                yield b": still here\n\n"
            for change in found:
                yield b"event: message\ndata:%b\n\n" % msgspec.json.encode(change)
