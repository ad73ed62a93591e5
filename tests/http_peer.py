"""HTTP servers for tests: one request a connection, parsed by h11; on loopback, or at the end of any stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import h11
import msgspec
import trio


class Asked(msgspec.Struct, frozen=True):
    """One request. Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Said(msgspec.Struct, frozen=True):
    """One answer; `body` is JSON unless it is bytes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}


Answer = Callable[[Asked], Awaitable[Said]]


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[str]:
    """A server; the URL of its root, without a slash at the end."""

    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(partial(trio.serve_tcp, partial(serve, answer), 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def serve(answer: Answer, stream: trio.abc.Stream) -> None:
    """Answer the one request that comes over a stream, and close it."""
    connection = h11.Connection(h11.SERVER)
    asked, body = None, b""
    async with stream:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Request):
                asked = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
        if asked is None:
            return
        headers = {name.decode(): value.decode() for name, value in asked.headers}
        said = await answer(Asked(asked.method.decode(), asked.target.decode(), headers, body))
        sent = said.body if isinstance(said.body, bytes) else msgspec.json.encode(said.body)
        fields = {"content-type": "application/json", "content-length": str(len(sent)), **said.headers}
        parts = (
            h11.Response(status_code=said.status, headers=list(fields.items())),
            h11.Data(data=sent),
            h11.EndOfMessage(),
        )
        try:
            await stream.send_all(b"".join(connection.send(each) or b"" for each in parts))
        except trio.BrokenResourceError:
            pass  # a client may leave in the middle of a long answer


async def dial(host: str, port: int) -> trio.abc.Stream:
    """Dials anything."""
    return await trio.open_tcp_stream(host, port)
