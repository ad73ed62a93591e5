"""Hypercorn's websocket, hardened, with many events in one write.

It differs from plain hypercorn as follows:

* Frames are not compressed, so a page of events is framed at once and sent in one write. A compressor would also take a
  third of a megabyte for each client.
* A client that sends nothing, not even a pong, for `SILENT_PINGS` pings counts as gone.
* A client that breaks the protocol gets a close frame that says so (RFC 6455 section 7.1.7), and is disconnected.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import trio
from hypercorn.protocol.events import Body, Data, Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

from engine.http.early_refusals import send_error
from engine.http.edge_log import current_peer

SILENT_PINGS = 3
"""Generous, because a slow reader's pong comes only after everything before the ping has been read."""

PAGES = 4
"""Number of framed pages in the cache; each has at most 256 KiB plus one event."""

FRAMES_IN_A_ROW = 100
"""Frames handled for one client before other tasks get a turn."""

_RAW = "engine.raw_frames"


class Frames(bytes):
    """Complete websocket frames (RFC 6455 section 5.2), to be sent as they are."""

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Frames:
        """One unmasked, final text frame for each of `texts`, which must be UTF-8."""
        parts: list[bytes] = []
        for text in texts:
            parts.append(_head(len(text)))
            parts.append(text)
        return cls(b"".join(parts))


class Framed:
    """A cache of framed pages: all readers that keep up ask for the same few, so each is framed only once."""

    def __init__(self) -> None:
        self._pages: dict[Hashable, Frames] = {}

    def of(self, key: Hashable, texts: Sequence[bytes]) -> Frames:
        """`texts` as frames; `key` identifies them uniquely."""
        found = self._pages.get(key)
        if found is None:
            if len(self._pages) >= PAGES:
                del self._pages[next(iter(self._pages))]
            found = self._pages[key] = Frames.of(texts)
        return found


def raw_frames(scope: Mapping[str, Any]) -> bool:
    """Whether this connection's server accepts `Frames`; a test client does not."""
    return _RAW in scope.get("state", {})


class EventWebsocket(WSStream):
    """One websocket. `answered` is set once its handshake is accepted or refused."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.answered = trio.Event()
        self._ended = trio.Event()
        self._heard = True

    async def handle(self, event: Event) -> None:
        """Handle the client's input, or the end of the connection."""
        self._heard = True
        if isinstance(event, Request):
            event.state[_RAW] = True
        elif isinstance(event, StreamClosed):
            self.answered.set()
            self._ended.set()
        elif isinstance(event, Body | Data) and self.state is not ASGIWebsocketState.CONNECTED:
            return
        await super().handle(event)

    async def app_send(self, message: Any) -> None:
        if (
            message is not None
            and message["type"] == "websocket.send"
            and isinstance(message.get("bytes"), Frames)
            and self.state == ASGIWebsocketState.CONNECTED
        ):
            if not self.closed:
                await self.send(Data(stream_id=self.stream_id, data=message["bytes"]))
            return
        try:
            await super().app_send(message)
        finally:
            if self.state is not ASGIWebsocketState.HANDSHAKE or message is None:
                self.answered.set()

    async def _handle_events(self) -> None:
        assert self.app_put is not None
        for number, event in enumerate(self.connection.events(), 1):
            if number % FRAMES_IN_A_ROW == 0:
                await trio.lowlevel.checkpoint()
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    await self._fail(CloseReason.MESSAGE_TOO_BIG, "the message is too long")
                    return
                if event.message_finished:
                    message = self.buffer.to_message()
                    self.buffer.clear()
                    # Quart would treat an empty binary message as a text message.
                    await self.app_put({**message, "text": message["text"] or ("" if not message["bytes"] else None)})
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                if self.connection.state is ConnectionState.OPEN:
                    await self._fail(event.code, event.reason or "")
                    return
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    await self._send_wsproto_event(event.response())
                await self.send(StreamClosed(stream_id=self.stream_id))
                return

    async def _fail(self, code: int, why: str) -> None:
        current_peer().refused(code, why)
        await self._send_wsproto_event(CloseConnection(code=code, reason=why))
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_error_response(self, status_code: int) -> None:
        await send_error(self, status_code)

    async def _send_pings(self) -> None:
        silent = 0
        while not self.closed:
            silent = 0 if self._heard else silent + 1
            if silent >= SILENT_PINGS:
                await self.send(StreamClosed(stream_id=self.stream_id))
                return
            self._heard = False
            await self._send_wsproto_event(Ping())
            with trio.move_on_after(self.config.websocket_ping_interval or 0):
                await self._ended.wait()


def _head(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
