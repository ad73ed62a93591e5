"""`engine events pipe`: a named consumer whose reader is whatever reads standard output.

1. Frames are read ahead into a channel, and everything in it is written at once: a busy stream costs few writes.
2. Only what is written is acknowledged, so what was on its way when either side ended comes again.
3. A reader that does not read stops the reading here, and in the end the connection. A write is never abandoned for
   that: half a line would be followed by the same event from its beginning.
"""

from __future__ import annotations

import errno
import os
import ssl
import sys
from pathlib import Path

import msgspec
import trio
import trio_websocket

from engine.commands.events import Stream, complain_of_gap, next_frame
from engine.commands.terminal import complain
from engine.sinks.envelope import outgoing

AHEAD = 1000
"""Maximum events that are read ahead."""
AT_ONCE = 4096
"""Octets of a write: a pipe that can be written to has room for that many (PIPE_BUF)."""


class _Frame(msgspec.Struct):
    """What matters of a frame: an event has `event` and `seq`, a control frame `stream`."""

    event: str | None = None
    account: str | None = None
    seq: int = 0
    stream: str | None = None
    first: int = 0
    wait: float = 0.0


class Pipe(Stream):
    """One consumer. `query` names it, and what else the stream is asked for."""

    def __init__(
        self,
        url: str,
        token: str | None,
        query: dict[str, str],
        folder: Path | None,
        trust: ssl.SSLContext | None,
        *,
        cloudevents: bool,
        out: int | None = None,
    ) -> None:
        super().__init__(url, token, folder, trust)
        self._query = query
        self._cloudevents = cloudevents
        self._out = sys.stdout.fileno() if out is None else out

    def query(self) -> dict[str, str]:
        return self._query

    async def read(self, socket: trio_websocket.WebSocketConnection) -> None:
        send, receive = trio.open_memory_channel[tuple[int, bytes]](AHEAD)
        lost: list[Exception] = []

        async def ahead() -> None:
            async with send:
                try:
                    while True:
                        text = await next_frame(socket)
                        if (line := self._line(text)) is not None:
                            await send.send(line)
                except (
                    trio_websocket.ConnectionClosed,
                    trio.TooSlowError,
                    msgspec.DecodeError,
                    UnicodeDecodeError,
                ) as error:
                    lost.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ahead)
            async for seq, line in receive:
                lines = [line]
                try:
                    while len(lines) < AHEAD:
                        seq, line = receive.receive_nowait()
                        lines.append(line)
                except (trio.WouldBlock, trio.EndOfChannel):
                    pass
                await self._write(b"".join(lines))
                self.failures = 0
                try:
                    await socket.send_message(msgspec.json.encode({"ack": seq}).decode())
                except trio_websocket.ConnectionClosed as error:
                    lost.append(error)
                    nursery.cancel_scope.cancel()
        raise lost[0]

    def _line(self, text: str) -> tuple[int, bytes] | None:
        frame = msgspec.json.decode(text, type=_Frame)
        if frame.event is not None:
            body = text.encode()
            if self._cloudevents:
                body = outgoing((frame.seq, frame.account, frame.event, body), cloudevents=True).body
            return frame.seq, body + b"\n"
        if frame.stream == "gap":
            complain_of_gap(frame.first)
        elif frame.stream == "contended":
            complain(f"another client takes this consumer, too; waiting {frame.wait:g} s")
        return None

    async def _write(self, data: bytes) -> None:
        """Write all of it. Cancelled: a part is written."""
        rest = memoryview(data)
        while rest:
            try:
                await trio.lowlevel.wait_writable(self._out)
            except OSError as error:
                if error.errno != errno.EPERM:
                    raise
                await trio.lowlevel.checkpoint()  # a file: it never makes us wait
            rest = rest[os.write(self._out, rest[:AT_ONCE]) :]
