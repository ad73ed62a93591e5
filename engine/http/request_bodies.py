"""Reads request bodies, and limits how many bytes of them the engine holds over all requests.

1. A body is read only after its caller is authenticated; a client that waits for `100 Continue` gets it only then.
2. It is counted as it arrives, chunked or not: at most what the operation takes, and at most `http.bodies` in total.
3. A token may use at most as much as it leaves free. So a single token gets at most half, and there is always some left
   for the next one. The first `SMALL` bytes of a body do not count towards that share, so that a caller's large bodies
   do not block its small requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from quart import Request
from werkzeug.exceptions import RequestEntityTooLarge

from engine.arriving_body import ArrivingBody
from engine.edge.transfer_rate import TransferRate
from engine.errors import Problem
from engine.heavy_work import HeavyWork
from engine.world import World

OTHER_BODIES = 1024**2
"""Maximum bytes in the body of an operation that takes no attachments."""
GO_ON = "go_on"
"""Key in the state of a request's scope: the function that sends `100 Continue`."""
SMALL = 64 * 1024


class Bodies:
    """The bodies of all current requests: at most `most` bytes, none slower than `slowest` bytes per second.

    Large ones wait in files in `folder`; without it, in memory.
    """

    def __init__(self, most: int, slowest: int = 0, folder: Path | None = None, world: World | None = None) -> None:
        self._most = most
        self._held: dict[str, int] = {}
        self.slowest = slowest
        self.total = 0
        self.heavy = HeavyWork()
        self.folder = folder
        self.world = world or World()

    @contextmanager
    def of(self, token: str) -> Iterator[RequestBody]:
        """The body of one request, counted for the token with this hash until the block ends."""
        body = RequestBody(self, token)
        try:
            yield body
        finally:
            body.close()
            if body.size:
                self._change(token, -body.size)

    def take(self, token: str, size: int, more: int) -> None:
        """Count `more` bytes of a body, which then has `size`. Raises `Problem` 503 beyond the token's share."""
        self._change(token, more)
        self._refuse_unless_room(self._held[token], self.total, size)

    def refuse_unless_room(self, token: str, size: int) -> None:
        """Raise `Problem` 503 if there is no room now for a body of this size."""
        self._refuse_unless_room(self._held.get(token, 0) + size, self.total + size, size)

    def _refuse_unless_room(self, held: int, total: int, size: int) -> None:
        # A token's only body may exceed the share: to repeat it later would make it no smaller.
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
        self._arrived: ArrivingBody | None = None

    def close(self) -> None:
        """Drop what is left of it."""
        if self._arrived is not None:
            self._arrived.close()

    async def read(self, request: Request, limit: int) -> bytearray:
        """Read the whole body into memory; otherwise like `arrive`."""
        return await (await self.arrive(request, limit)).load()

    async def arrive(self, request: Request, limit: int) -> ArrivingBody:
        """Wait for the whole body, at most `limit` bytes.

        Raises `Problem`: 413 if it is longer, by its Content-Length or as received; 408 if nothing arrives for
        `http.body_timeout`, or it arrives too slowly; 415 if it is compressed; 503 if too many bodies are in memory.
        Cancelled: what has arrived is dropped.
        """
        head = dict(request.scope["headers"])
        encoding = head.get(b"content-encoding", b"").strip().lower()
        if encoding not in (b"identity", b""):
            raise Problem(415, "A request must not have a Content-Encoding: send the body uncompressed")
        declared = request.content_length or 0
        if declared > limit:
            raise _too_long(limit)
        self._bodies.refuse_unless_room(self._token, declared)
        if b"expect" in head:
            await request.scope["state"][GO_ON]()
        self._arrived = body = ArrivingBody(self._bodies.folder, self._bodies.world)
        try:
            if is_complete(request):
                async for chunk in request.body:
                    await self._take(chunk, limit, body)
                return body
            pace = TransferRate(request.body_timeout or 0, self._bodies.slowest)
            with trio.CancelScope(deadline=pace.deadline()) as timeout:
                async for chunk in request.body:
                    pace.moved(len(chunk))
                    timeout.deadline = pace.deadline()
                    await self._take(chunk, limit, body)
        except RequestEntityTooLarge as error:
            raise _too_long(limit) from error
        if timeout.cancelled_caught:
            raise Problem(408, "The request body did not arrive in time")
        return body

    async def _take(self, chunk: bytes, limit: int, body: ArrivingBody) -> None:
        self.size += len(chunk)
        self._bodies.take(self._token, self.size, len(chunk))
        if self.size > limit:
            raise _too_long(limit)
        await body.add(chunk)


def has_body(request: Request) -> bool:
    """Whether the request has a body."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def is_complete(request: Request) -> bool:
    """Whether the body has arrived to its end; so has one that was too long, and is not stored."""
    # Quart has no public way to ask.
    return request.body._complete.is_set()


def _too_long(limit: int) -> Problem:
    return Problem(413, f"Payload content length greater than maximum allowed: {limit}")
