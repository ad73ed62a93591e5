"""One post to one receiver: time and size limits, redirects refused, and an answer that says what happened.

Taken is any 2xx whose head came within the time limit. Redirects are not followed and no proxy is read from the
environment. A post that fails, in whatever way, is an answer too.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec
import trio

from engine.errors import EngineError
from engine.events import egress, signing
from engine.events.plan import Letter
from engine.events.target import Target
from engine.world import World

if TYPE_CHECKING:
    from httpcore2 import AsyncConnectionPool

MAX_RESPONSE = 1024
MAX_RETRY_AFTER = 3600.0
SHOWN = 200
"""Characters of a receiver's answer that stand in an error."""


class Answer(msgspec.Struct, frozen=True):
    """How a post went. `status` is None when there was no answer; `retry_after` and `took` are in seconds."""

    status: int | None
    text: str
    retry_after: float | None = None
    took: float = 0.0

    @property
    def taken(self) -> bool:
        """Whether the receiver has the event."""
        return self.status is not None and 200 <= self.status < 300


class Poster:
    """Posts for one endpoint over kept connections, at most `connections` at once."""

    def __init__(self, world: World, *, timeout: float, allow_private: bool, connections: int) -> None:
        self._world = world
        self._timeout = timeout
        self._allow_private = allow_private
        self._connections = connections
        self._pools: dict[bool, AsyncConnectionPool] = {}

    async def aclose(self) -> None:
        """Close the connections; the next post opens new ones."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()

    async def post(self, target: Target, letter: Letter) -> Answer:
        """Post once. Cancelled: the connection is closed; the receiver may have the event."""
        import httpcore2

        now = self._world.now()
        headers = [
            *target.headers,
            ("Content-Length", str(len(letter.body))),
            ("X-EE-Wh-Event-Id", letter.event_id),
            ("X-EE-Wh-Id", str(letter.seq)),
            ("X-EE-Wh-Attempts-Made", str(letter.attempts)),
            ("X-EE-Wh-Queued-Time", f"{max(0, int(now - letter.happened))}s"),
            *((("X-EE-Wh-Custom-Route", letter.route),) if letter.route else ()),
            *signing.headers(target.secrets, letter.event_id, int(now), letter.body),
        ]
        url = httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        began = trio.current_time()
        answer = Answer(None, f"no answer within {self._timeout:g} seconds")
        try:
            with trio.move_on_after(self._timeout):
                pool = self._pool(target)
                async with pool.stream("POST", url, headers=headers, content=letter.body) as response:
                    # The head decides: a receiver that has said 2xx has the event, however long it goes on talking.
                    answer = self._answer(response.status, b"", response.headers)
                    received = bytearray()
                    async with aclosing(response.aiter_stream()) as chunks:
                        async for chunk in chunks:
                            received += chunk
                            if len(received) > MAX_RESPONSE:
                                break
                    answer = self._answer(response.status, bytes(received), response.headers)
        except EngineError as error:
            answer = Answer(None, str(error))
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
            httpcore2.UnsupportedProtocol,
        ) as error:
            if answer.status is None:
                answer = Answer(None, f"{_WORDS.get(type(error).__name__, type(error).__name__)}: {error}".rstrip(": "))
        return msgspec.structs.replace(answer, took=trio.current_time() - began)

    def _pool(self, target: Target) -> AsyncConnectionPool:
        import httpcore2

        pool = self._pools.get(target.restricted)
        if pool is None:
            pool = self._pools[target.restricted] = httpcore2.AsyncConnectionPool(
                ssl_context=ssl.create_default_context() if target.scheme == "https" else None,
                max_connections=self._connections,
                keepalive_expiry=30.0,
                network_backend=egress.network_backend(
                    self._world, allow_private=self._allow_private and not target.restricted
                ),
            )
        return pool

    def _answer(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Answer:
        text = f"the answer was {status}"
        if 300 <= status < 400:
            text += ", a redirect, which is not followed"
        shown = "".join(c if c.isprintable() else " " for c in body.decode("utf-8", "replace")).strip()[:SHOWN]
        if shown and not 200 <= status < 300:
            text += f": {shown}"
        retry_after = self._retry_after(headers) if status in (429, 503) else None
        return Answer(status, text, retry_after)

    def _retry_after(self, headers: Iterable[tuple[bytes, bytes]]) -> float | None:
        """Seconds to wait by the `Retry-After` header (RFC 9110 section 10.2.3), None without a valid one."""
        for name, value in headers:
            if name.lower() != b"retry-after":
                continue
            text = value.decode("latin-1").strip()
            try:
                seconds = float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - self._world.now()
            except ValueError:
                return None
            return min(max(seconds, 0.0), MAX_RETRY_AFTER)
        return None


_WORDS = {
    "ConnectError": "cannot connect",
    "ReadError": "the connection broke before an answer",
    "WriteError": "the connection broke before an answer",
    "RemoteProtocolError": "what came back is not HTTP",
    "LocalProtocolError": "it cannot be written as HTTP",
}
