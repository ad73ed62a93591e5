"""The event stream over a websocket: the journal from a number on, then live, without a seam.

Each frame is one event, the same bytes a webhook gets. The stream is read from the journal page by page, so a slow
client only lags and costs no memory. A client that asks for events which are not kept any more gets one frame
`{"stream":"gap","first":n}` and goes on there; one that asks from a number that does not exist yet is closed with 1008.
Stopping closes with 1001, an error of ours with 1011. What the client sends is read and thrown away: a connection whose
incoming side is not read would hide that the client left.
"""

from __future__ import annotations

import logging

import quart.wrappers
import trio
from quart import Websocket

from engine.events.journal import Journal

log = logging.getLogger("engine.http")

PAGE = 200

_CLIENT_LEFT: type[Exception] = getattr(quart.wrappers, "ClientDisconnectedError", trio.BrokenResourceError)
"""What quart raises from 0.23 on when the client is gone; before, it only cancelled."""


async def serve_stream(
    websocket: Websocket,
    journal: Journal,
    *,
    after: int | None,
    account: str | None,
    names: frozenset[str] | None,
    stopping: trio.Event,
) -> None:
    """Send the events numbered above `after` (None: only new ones) until the client leaves or `stopping` is set.

    `account` and `names` narrow the stream; None is all. Cancelled: the connection is left to the server to close.
    """
    await websocket.accept()
    code, reason = 1001, "the engine is stopping"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_drain, websocket, nursery.cancel_scope)
        nursery.start_soon(_cancel_at, stopping, nursery.cancel_scope)
        try:
            await _feed(websocket, journal, after, account, names)
            code, reason = 1008, "cursor is ahead of the journal"
        except _CLIENT_LEFT:
            pass
        except Exception:
            log.exception("the event stream broke")
            code, reason = 1011, "internal error"
        nursery.cancel_scope.cancel()
    await websocket.close(code, reason)


async def _feed(
    websocket: Websocket, journal: Journal, after: int | None, account: str | None, names: frozenset[str] | None
) -> None:
    """Send events for ever; return only when `after` is ahead of the journal."""
    last = journal.last
    position = last if after is None else after
    if position > last:
        return
    first, _ = journal.bounds()
    if position + 1 < first:
        await websocket.send(f'{{"stream":"gap","first":{first}}}')
    while True:
        last = journal.last
        page = journal.read(position, PAGE, account, names)
        for seq, _, body in page:
            await websocket.send(body.decode())
            position = seq
        if not page:
            # What the filter leaves out is behind us too.
            position = max(position, last)
            await journal.wait_for_more(position)


async def _drain(websocket: Websocket, scope: trio.CancelScope) -> None:
    try:
        while True:
            await websocket.receive()
    except _CLIENT_LEFT:
        scope.cancel()


async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
