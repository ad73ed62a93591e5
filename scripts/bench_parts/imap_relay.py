"""Stands between the engine and an IMAP server, and says when the server spoke of new mail and when its event arrived.

Arguments: the server's host and port, the engine's port, a token. Prints its port, then `exists N T` for each untagged
EXISTS line as it is passed on, and `event UID T` for each messageNew of the account `relayed` at a
websocket; T in seconds since 1970.
"""

from __future__ import annotations

import json
import re
import sys
import time

import trio
from trio_websocket import ConnectionClosed, open_websocket_url

EXISTS = re.compile(rb"^\* (\d+) EXISTS\r$", re.MULTILINE)


async def pump(source: trio.abc.Stream, target: trio.abc.Stream, *, watched: bool) -> None:
    line = b""
    try:
        while data := await source.receive_some(65536):
            now = time.time()
            if watched:
                *lines, line = (line + data).split(b"\n")
                for found in EXISTS.finditer(b"\n".join([*lines, b""])):
                    print(f"exists {int(found[1])} {now}", flush=True)
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    await target.aclose()


async def listen(port: int, token: str) -> None:
    url = f"ws://127.0.0.1:{port}/v1/events/stream?events=messageNew&account=relayed"
    headers = [("Authorization", f"Bearer {token}")]
    try:
        async with open_websocket_url(url, extra_headers=headers) as events:
            while True:
                event = json.loads(await events.get_message())
                print(f"event {event['data']['uid']} {time.time()}", flush=True)
    except ConnectionClosed:
        pass


async def main() -> None:
    host, port, engine, token = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

    async def serve(stream: trio.abc.Stream) -> None:
        server = await trio.open_tcp_stream(host, port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: pump(stream, server, watched=False))
            nursery.start_soon(lambda: pump(server, stream, watched=True))

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        print(listeners[0].socket.getsockname()[1], flush=True)
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        nursery.start_soon(listen, engine, token)


trio.run(main)
