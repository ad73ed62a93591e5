"""Reading request bodies, and how much of them is in memory over all requests.

A body is read only once its caller is let in, and counted as it comes, chunked ones too: at most what the operation
takes, and over all requests at most `http.bodies`. A token may hold as much as it leaves free, so one that takes all it
can gets half, and there is always something left for the next one. The first `SMALL` bytes of a body are not measured
against that share: a caller's large bodies do not stop its small requests. A client that waits for `100 Continue` is
told to send its body only then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from quart import Request
from werkzeug.exceptions import RequestEntityTooLarge

from engine.errors import Problem
from engine.http.transfer_rate import TransferRate

OTHER_BODIES = 1024**2
"""The largest body of an operation that takes no attachments."""
GO_ON = "go_on"
"""In the state of a request's scope: what tells a client that waits to send its body."""
SMALL = 64 * 1024
HEAVY_AT_ONCE = 2
"""Large bodies taken apart or composed at once: each needs about three times its size for a moment."""


class Bodies:
    """The bodies of all requests under way: at most `most` bytes, none slower than `slowest` bytes a second."""

    def __init__(self, most: int, slowest: int = 0) -> None:
        self._most = most
        self._held: dict[str, int] = {}
        self.slowest = slowest
        self.total = 0
        self.heavy = trio.Semaphore(HEAVY_AT_ONCE)

    @contextmanager
    def of(self, token: str) -> Iterator[RequestBody]:
        """The body of one request, by the hash of its token; what it takes is given back when the block ends."""
        body = RequestBody(self, token)
        try:
            yield body
        finally:
            if body.size:
                self._change(token, -body.size)

    def take(self, token: str, size: int, more: int) -> None:
        """Count `more` bytes of a body that has `size` of them then. Raises `Problem` 503 beyond the token's share."""
        self._change(token, more)
        self._refuse_unless_room(self._held[token], self.total, size)

    def refuse_unless_room(self, token: str, size: int) -> None:
        """Raise `Problem` 503 where a body of this size has no room now."""
        self._refuse_unless_room(self._held.get(token, 0) + size, self.total + size, size)

    def _refuse_unless_room(self, held: int, total: int, size: int) -> None:
        # A body that is the only one of its token may be larger than its share: later it would be no smaller.
        if total > self._most or (size > SMALL and held > size and held > self._most - total):
            raise Problem(
                503, "Too many large requests at once, come back later", code="Busy", headers={"Retry-After": "2"}
            )

    def _change(self, token: str, by: int) -> None:
        self.total += by
        held = self._held.get(token, 0) + by
        if held:
            self._held[token] = held
        else:
            del self._held[token]


class RequestBody:
    """One request's body."""

    def __init__(self, bodies: Bodies, token: str) -> None:
        self._bodies = bodies
        self._token = token
        self.size = 0

    async def read(self, request: Request, limit: int) -> bytearray:
        """All of it, at most `limit` bytes.

        Raises `Problem`: 413 when it is longer, by its Content-Length or as it comes; 408 when nothing comes for
        `http.body_timeout`, or it comes too slowly; 415 when it is compressed; 503 when too many bodies are in memory.
        Cancelled: what came is dropped.
        """
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", ""):
            raise Problem(415, "A request must not have a Content-Encoding: send the body uncompressed")
        declared = request.content_length or 0
        if declared > limit:
            raise _too_long(limit)
        self._bodies.refuse_unless_room(self._token, declared)
        if "Expect" in request.headers:
            await request.scope["state"][GO_ON]()
        body = bytearray()
        pace = TransferRate(request.body_timeout or 0, self._bodies.slowest)
        with trio.CancelScope(deadline=pace.deadline()) as timeout:
            try:
                async for chunk in request.body:
                    pace.moved(len(chunk))
                    timeout.deadline = pace.deadline()
                    self.size += len(chunk)
                    self._bodies.take(self._token, self.size, len(chunk))
                    if self.size > limit:
                        raise _too_long(limit)
                    body += chunk
            except RequestEntityTooLarge as error:
                raise _too_long(limit) from error
        if timeout.cancelled_caught:
            raise Problem(408, "The request body did not arrive in time")
        return body


def has_body(request: Request) -> bool:
    """Whether a body comes with it."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def _too_long(limit: int) -> Problem:
    return Problem(413, f"Payload content length greater than maximum allowed: {limit}")
