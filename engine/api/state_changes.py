"""Following the states of accounts as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
import trio
from quart import Response

from engine.api.context import Context
from engine.events.state_changes import StateChanges
from engine.http import sse
from engine.http.account_tokens import Access
from engine.http.bearer_tokens import Validity
from engine.http.operation import operation
from engine.schema.state_changes import ChangesQuery
from engine.store.tokens import Token


@operation("GET", "/v1/changes", access=Access.QUERY, scope="api", group="events", tags=("Events",), media=sse.MEDIA)
async def follow(context: Context, query: ChangesQuery, *, caller: Token) -> Response:
    """Follow the states of accounts.

    Server-sent events in EmailEngine's shape, one for each change of a state from now on:

    ```
    event: message
    data:{"account":"example","type":"state","key":"connected","payload":null,"stateLabel":{"type":"success","name":"Connected"}}
    ```
    """
    frames = _frames(context.changes, query.account, context.validity(caller))
    return sse.stream(context.streams.share, caller, frames)


async def _frames(changes: StateChanges, account: str | None, validity: Validity) -> AsyncGenerator[bytes, None]:
    with changes.watching(account) as watcher:
        yield sse.GREETING
        while not changes.stopped:
            found, silent = [], True
            with trio.move_on_after(min(sse.KEEP_ALIVE, validity.seconds())):
                found, silent = await watcher.take(), False
            if not validity.holds():
                return
            if silent:
                yield sse.STILL_HERE
            for change in found:
                yield b"event: message\ndata:%b\n\n" % msgspec.json.encode(change)
