"""Stands between the engine and an IMAP server, and says when the server spoke of new mail and when its event arrived.

Arguments: the server's host and port, the engine's port, a token. Prints its port, then `exists N T` for each untagged
EXISTS line as it is passed on, and `event UID T` for each messageNew of the account `relayed` at a
websocket; T in seconds since 1970.
"""

from __future__ import annotations

import re
import sys
import time

import trio

EXISTS = re.compile(rb"^\* (\d+) EXISTS\r$", re.MULTILINE)
UID = re.compile(rb'"uid":(\d+)')


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
    """Read the websocket as bare bytes: a client library would take the processor from what is measured."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    upgrade = (
        "GET /v1/events/stream?events=messageNew&account=relayed HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
        f"Authorization: Bearer {token}",
    )
    await stream.send_all("".join(f"{line}\r\n" for line in (*upgrade, "")).encode())
    buffer = b""
    while b"\r\n\r\n" not in buffer:
        buffer += await stream.receive_some(65536)
    buffer = buffer.partition(b"\r\n\r\n")[2]
    try:
        while data := await stream.receive_some(1 << 20):
            now = time.time()
            buffer += data
            # Frames of an event: two octets, two more of length, the text. Pings are shorter.
            while len(buffer) >= 4:
                size = 4 + int.from_bytes(buffer[2:4], "big") if buffer[1] == 126 else 2 + buffer[1]
                if len(buffer) < size:
                    break
                frame, buffer = buffer[:size], buffer[size:]
                if uid := UID.search(frame):
                    print(f"event {int(uid[1])} {now}", flush=True)
    except trio.BrokenResourceError:
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
