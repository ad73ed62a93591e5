"""The limit of delivery: a client that only writes bytes made beforehand and counts reply lines.

Arguments: port, connections, messages. The octets of the message are read from standard input.
"""

from __future__ import annotations

import asyncio
import sys

ENVELOPE = b"MAIL FROM:<b1@example.com>\r\nRCPT TO:<somebody@example.net>\r\nDATA\r\n"


async def send(port: int, messages: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"EHLO bench.example\r\n")
    while (await reader.readline())[3:4] == b"-":
        pass
    for _ in range(messages):
        writer.write(ENVELOPE)
        await reader.readuntil(b"354 Go ahead\r\n")
        writer.write(data)
        await reader.readline()
    writer.write(b"QUIT\r\n")
    await reader.read()
    writer.close()


async def main() -> None:
    port, connections, messages = map(int, sys.argv[1:])
    data = sys.stdin.buffer.read() + b"\r\n.\r\n"
    await asyncio.gather(*(send(port, messages // connections, data) for _ in range(connections)))


asyncio.run(main())
