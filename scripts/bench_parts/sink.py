"""A fast SMTP server that throws mail away and notes when it came. Prints its two ports: SMTP, control.

A control connection sends one line and gets one line of JSON: `reset`, `look`, or `wait N` which is answered once N
messages have come since the last reset. The answer is their number, the arrival of the first and the last (monotonic
clock, one for all processes of a machine) and the last one's bytes in Latin-1.
"""

from __future__ import annotations

import asyncio
import json
import time

END = b"\r\n.\r\n"


class Arrivals:
    def __init__(self) -> None:
        self.count = 0
        self.first = self.last = 0.0
        self.octets = b""
        self.wanted = 0
        self.reached = asyncio.Event()

    def note(self, octets: bytes) -> None:
        self.last = time.monotonic()
        if not self.count:
            self.first = self.last
        self.count += 1
        self.octets = octets
        if self.count >= self.wanted:
            self.reached.set()


class Session(asyncio.Protocol):
    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        self.buffer = b""
        self.in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        answer = b""
        while True:
            if self.in_data:
                octets, end, rest = self.buffer.partition(END)
                if not end:
                    break
                self.in_data = False
                self.arrivals.note(octets)
                answer += b"250 2.0.0 Ok\r\n"
            else:
                line, end, rest = self.buffer.partition(b"\r\n")
                if not end:
                    break
                answer += self.answer(line[:4].upper())
            self.buffer = rest
        if answer:
            self.transport.write(answer)

    def answer(self, verb: bytes) -> bytes:
        if verb == b"DATA":
            self.in_data = True
            return b"354 Go ahead\r\n"
        if verb == b"EHLO":
            return b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n"
        if verb == b"QUIT":
            asyncio.get_running_loop().call_soon(self.transport.close)
            return b"221 2.0.0 Bye\r\n"
        return b"250 2.0.0 Ok\r\n"


async def main() -> None:
    arrivals = Arrivals()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).split():
            if line[0] == b"reset":
                arrivals.__init__()  # type: ignore[misc]
            elif line[0] == b"wait":
                arrivals.wanted = int(line[1])
                if arrivals.count < arrivals.wanted:
                    arrivals.reached.clear()
                    await arrivals.reached.wait()
            shown = {name: getattr(arrivals, name) for name in ("count", "first", "last")}
            shown["octets"] = arrivals.octets.decode("latin-1")
            writer.write(json.dumps(shown).encode() + b"\n")

    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(lambda: Session(arrivals), "127.0.0.1", 0, backlog=200)
    controls = await asyncio.start_server(control, "127.0.0.1", 0)
    print(smtp.sockets[0].getsockname()[1], controls.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
