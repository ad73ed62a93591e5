"""One HTTP connection to the sandbox: requests one after another, each answered by `oauth_pages`."""

from __future__ import annotations

import h11
import trio

from engine.sandbox.oauth import OAuthProvider
from engine.sandbox.oauth_pages import WebAnswer, WebRequest, answer
from engine.sandbox.streams import MemoryStream
from engine.world import World

LONGEST_BODY = 65_536
IDLE_SECONDS = 60.0


class WebConnection:
    """`run` serves until the client is done, sends nonsense, or is silent for a minute."""

    def __init__(self, stream: MemoryStream, provider: OAuthProvider, world: World) -> None:
        self._stream = stream
        self._provider = provider
        self._world = world
        self._wire = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        """Serve one connection."""
        try:
            while (request := await self._request()) is not None:
                found = answer(self._provider, self._world, request)
                await trio.sleep(found.after)
                if found.cut:
                    return
                await self._send(found)
                if self._wire.our_state is not h11.DONE or self._wire.their_state is not h11.DONE:
                    return
                self._wire.start_next_cycle()
        except h11.RemoteProtocolError:
            return

    async def _request(self) -> WebRequest | None:
        head: h11.Request | None = None
        body = b""
        while True:
            event = self._wire.next_event()
            if event is h11.NEED_DATA:
                with trio.move_on_after(IDLE_SECONDS) as waiting:
                    self._wire.receive_data(await self._stream.receive_some())
                if waiting.cancelled_caught:
                    return None
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > LONGEST_BODY:
                    return None
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
                return WebRequest(head.method.decode(), head.target.decode("latin-1"), headers, body)
            else:
                return None

    async def _send(self, found: WebAnswer) -> None:
        headers = [*found.headers.items(), ("content-length", str(len(found.body)))]
        parts = (
            h11.Response(status_code=found.status, headers=headers),
            h11.Data(data=found.body),
            h11.EndOfMessage(),
        )
        await self._stream.send_all(b"".join(self._wire.send(part) or b"" for part in parts))
