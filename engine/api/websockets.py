"""Hypercorn's websocket with its edges filed off, and many events in one write.

What is different from plain hypercorn: frames are not compressed, so a page of events is framed in one go and leaves
as one write (a compressor for each client would also keep a third of a megabyte); and a client from which nothing, not
even a pong, has come for `SILENT_PINGS` pings is taken as gone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import hypercorn.protocol.h2
import hypercorn.protocol.h11
from hypercorn.protocol.events import Data, Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from wsproto.events import Ping

SILENT_PINGS = 3
"""Generous, because the pong of a client that reads slowly stands behind everything it has not read."""

PAGES = 4
"""Pages kept framed, of at most 256 KiB and one event each."""

_RAW = "engine.raw_frames"


class Frames(bytes):
    """Whole websocket frames (RFC 6455 section 5.2), not to be framed again."""

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Frames:
        """One unmasked, final text frame for each of `texts`, which must be UTF-8."""
        parts: list[bytes] = []
        for text in texts:
            parts.append(_head(len(text)))
            parts.append(text)
        return cls(b"".join(parts))


class Framed:
    """The pages framed last: readers that keep up ask for the same few, and each is framed once for all of them."""

    def __init__(self) -> None:
        self._pages: dict[Hashable, Frames] = {}

    def of(self, key: Hashable, texts: Sequence[bytes]) -> Frames:
        """`texts` as frames; `key` stands for them and nothing else."""
        found = self._pages.get(key)
        if found is None:
            if len(self._pages) >= PAGES:
                del self._pages[next(iter(self._pages))]
            found = self._pages[key] = Frames.of(texts)
        return found


def raw_frames(scope: Mapping[str, Any]) -> bool:
    """Whether the server of this connection takes `Frames`; a test client does not."""
    return _RAW in scope.get("state", {})


def install() -> None:
    """Have hypercorn serve websockets this way from now on."""
    hypercorn.protocol.h11.WSStream = _WSStream  # type: ignore[attr-defined]
    hypercorn.protocol.h2.WSStream = _WSStream  # type: ignore[attr-defined]


class _WSStream(WSStream):
    _heard = True

    async def handle(self, event: Event) -> None:
        self._heard = True
        if isinstance(event, Request):
            event.state[_RAW] = True
            headers = [each for each in event.headers if each[0].lower() != b"sec-websocket-extensions"]
            event = dataclasses.replace(event, headers=headers)
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
        await super().app_send(message)

    async def _send_pings(self) -> None:
        silent = 0
        while not self.closed:
            silent = 0 if self._heard else silent + 1
            if silent > SILENT_PINGS:
                await self.send(StreamClosed(stream_id=self.stream_id))
                return
            self._heard = False
            await self._send_wsproto_event(Ping())
            await self.context.sleep(self.config.websocket_ping_interval or 0)


def _head(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
