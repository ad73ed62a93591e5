"""An IMAP server that follows a script, over Trio's memory streams: `C` lines it must hear, `S` bytes it says."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing

from engine import sasl
from engine.imap.refusals import Refusals
from engine.imap.session import ImapEndpoint, ImapSession
from engine.transcript import Trace
from engine.transport import TlsRules

CREDENTIALS = sasl.Credentials(user="u@example.com", password="geheim", access_token=None)
HELLO = b"* PREAUTH [CAPABILITY IMAP4rev1 IDLE] hello\r\n"


class Server:
    """The server's end of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._data = b""

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def say_bytewise(self, data: bytes) -> None:
        for byte in data:
            await self.stream.send_all(bytes([byte]))

    async def line(self) -> bytes:
        """The next line the client says, without CRLF; empty once it has hung up."""
        while b"\r\n" not in self._data:
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                return b""
            self._data += data
        line, _, self._data = self._data.partition(b"\r\n")
        return line

    async def octets(self, size: int) -> bytes:
        while len(self._data) < size:
            data = await self.stream.receive_some(65536)
            assert data, "the client hung up"
            self._data += data
        data, self._data = self._data[:size], self._data[size:]
        return data

    async def hear(self, *lines: bytes) -> None:
        for line in lines:
            assert await self.line() == line

    async def answer(self, line: bytes, reply: bytes) -> None:
        await self.hear(line)
        await self.say(reply)

    async def hung_up(self) -> None:
        assert await self.line() == b""

    async def close(self) -> None:
        await self.stream.aclose()


Script = Callable[[Server], Awaitable[None]]


class Scripted:
    """Runs `script` for the one connection dialled; leaving the block waits until the script is through."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._stack = contextlib.AsyncExitStack()
        self.dials: list[tuple[str, int]] = []
        self.streams: list[trio.StapledStream[Any, Any]] = []
        """The client's end of each connection."""

    async def __aenter__(self):
        self._nursery = await self._stack.enter_async_context(trio.open_nursery())
        return self

    async def __aexit__(self, *exc):
        if exc[0] is not None:
            self._nursery.cancel_scope.cancel()
        return await self._stack.__aexit__(*exc)

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        self.dials.append((host, port))
        ours, theirs = trio.testing.memory_stream_pair()
        self.streams.append(ours)
        self._nursery.start_soon(self._run, theirs)
        return ours

    async def _run(self, stream: trio.abc.Stream) -> None:
        await self._script(Server(stream))

    async def connect(
        self,
        *,
        secure: bool = False,
        tls: TlsRules | None = None,
        credentials: sasl.Credentials = CREDENTIALS,
        host: str = "imap.example.com",
        trace: Trace | None = None,
        client_id: dict[str, str] | None = None,
        nonce: str | None = None,
        refusals: Refusals | None = None,
    ) -> ImapSession:
        endpoint = ImapEndpoint(host, 993 if secure else 143, secure, tls or TlsRules(), credentials)
        return await ImapSession.connect(
            endpoint,
            dial=self.dial,
            trace=trace,
            client_id=client_id or {"name": "engine"},
            nonce=nonce,
            refusals=refusals,
        )
