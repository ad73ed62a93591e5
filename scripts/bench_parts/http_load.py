"""Requests made beforehand, over keep-alive connections, each with one request in flight.

Arguments: port, clients, requests. Standard input: JSON, a list of the requests' texts, used in turn. Prints the
seconds it took; ends with the first answer that is not 200.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

import trio

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


async def exchange(stream: trio.SocketStream, request: bytes) -> bool:
    """Whether the connection stays open."""
    await stream.send_all(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = await stream.receive_some(65536)
        if not chunk:
            raise SystemExit("the connection was closed in place of an answer")
        answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(answer.decode("latin-1"))
    length = LENGTH.search(head)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0:
        missing -= len(await stream.receive_some(missing))
    return b"connection: close" not in head.lower()


async def client(port: int, requests: Iterator[bytes]) -> None:
    stream = None
    for request in requests:
        stream = stream or await trio.open_tcp_stream("127.0.0.1", port)
        if not await exchange(stream, request):
            await stream.aclose()
            stream = None


async def main() -> None:
    port, clients, count = map(int, sys.argv[1:])
    texts = [text.encode() for text in json.load(sys.stdin)]
    requests = iter([texts[number % len(texts)] for number in range(count)])
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(client, port, requests)
    print(trio.current_time() - started)


trio.run(main)
