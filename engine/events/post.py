"""One post to one receiver: time and size limits, redirects refused, and an answer that says what happened.

Taken is any 2xx whose head came within the time limit. Redirects are not followed and no proxy is read from the
environment. A post that fails, in whatever way, is an answer too.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import msgspec
import trio

from engine.egress import Egress
from engine.errors import EngineError
from engine.events import signing
from engine.events.http import Connections, Reply
from engine.events.plan import Letter
from engine.events.target import Target
from engine.world import World

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
    """Posts for one endpoint over kept connections, at most `connections` of them for each host."""

    def __init__(self, world: World, egress: Egress, *, timeout: float, connections: int) -> None:
        self._world = world
        self._timeout = timeout
        self._egress = egress
        self._most = connections
        self._kept: dict[tuple[str, str, int, bool], Connections] = {}

    async def aclose(self) -> None:
        """Close the connections; the next post opens new ones."""
        kept, self._kept = list(self._kept.values()), {}
        for each in kept:
            await each.aclose()

    async def post(self, target: Target, letter: Letter) -> Answer:
        """Post once. Cancelled: the connection is closed; the receiver may have the event."""
        request = self._request(target, letter)
        began = trio.current_time()
        answer = Answer(None, f"no answer within {self._timeout:g} seconds")

        def on_head(reply: Reply) -> None:
            # The head decides: a receiver that has said 2xx has the event, however long it goes on talking.
            nonlocal answer
            answer = self._answer(reply)

        try:
            with trio.move_on_after(self._timeout):
                answer = self._answer(await self._connections(target).post(request, MAX_RESPONSE, on_head))
        except EngineError as error:
            if answer.status is None:
                answer = Answer(None, str(error))
        return msgspec.structs.replace(answer, took=trio.current_time() - began)

    def _request(self, target: Target, letter: Letter) -> bytes:
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
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode() + letter.body

    def _connections(self, target: Target) -> Connections:
        port = target.port or (443 if target.scheme == "https" else 80)
        key = (target.scheme, target.host, port, target.restricted)
        found = self._kept.get(key)
        if found is None:
            dial = self._egress.dialer(restricted=target.restricted)
            found = self._kept[key] = Connections(
                lambda: dial(target.host, port),
                target.host if target.scheme == "https" else None,
                self._most,
            )
        return found

    def _answer(self, reply: Reply) -> Answer:
        status = reply.status
        text = f"the answer was {status}"
        if 300 <= status < 400:
            text += ", a redirect, which is not followed"
        shown = "".join(c if c.isprintable() else " " for c in reply.body.decode("utf-8", "replace")).strip()[:SHOWN]
        if shown and not 200 <= status < 300:
            text += f": {shown}"
        value = reply.headers.get(b"retry-after")
        return Answer(status, text, self._retry_after(value) if value and status in (429, 503) else None)

    def _retry_after(self, value: bytes) -> float | None:
        """Seconds to wait by a `Retry-After` header (RFC 9110 section 10.2.3), None when it is not valid."""
        text = value.decode("latin-1")
        try:
            seconds = float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - self._world.now()
        except ValueError:
            return None
        return min(max(seconds, 0.0), MAX_RETRY_AFTER)
