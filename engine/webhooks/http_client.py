"""HTTP/1.1 as a webhook needs it: send a POST, read a status and a few octets, keep the connection.

A general client uses a millisecond of CPU time for a post; with five endpoints, mail would have to wait for that. This
one follows no redirects, stores no cookies and decompresses nothing.

1. `post` takes an idle connection or dials. An idle connection that has anything to read is closed: either the receiver
   has closed it, or it holds an unsolicited answer that would be taken for the next one.
2. `_ask` sends the request and reads the head of the answer, which decides. It reads while a long request is still
   being sent, so that it does not lose an early answer from a receiver that then closes the connection. A receiver that
   answers 2xx early is sent the rest of the request.
3. `_finish` reads the body only to reuse the connection or to show why a post was refused: at most `MOST_BODY` octets,
   for at most `BODY_SECONDS`.

An answer that is not HTTP raises `ProtocolError`; a connection that breaks before an answer raises `NetworkError`. The
caller sets the deadline.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

import trio

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.webhooks.http_response import MOST_BODY, Answering, HttpResponse

BODY_SECONDS = 1.0
CHUNK = 16 * 1024
LOOK_STEPS = 5
"""Scheduler turns after which a stream that is not a socket counts as having nothing to read."""
IDLE = 30.0
"""Seconds for which an idle connection is kept for the next post."""

Connect = Callable[[], Awaitable[trio.abc.Stream]]


class Connections:
    """At most `most` idle connections to one host and port; `tls` is the server name, None without TLS."""

    def __init__(self, connect: Connect, tls: str | None, most: int) -> None:
        self._connect = connect
        self._tls = tls
        self._most = most
        self._idle: list[tuple[trio.abc.Stream, float]] = []
        self._posts = 0

    @property
    def unused(self) -> bool:
        """Whether no post is under way and no connection is idle."""
        return not self._posts and not self._idle

    @property
    def idle_until(self) -> float | None:
        """When the next idle connection expires (Trio's clock); None if there is none."""
        return self._idle[0][1] + IDLE if self._idle else None

    async def aclose(self) -> None:
        """Close all idle connections."""
        idle, self._idle = self._idle, []
        for stream, _ in idle:
            await trio.aclose_forcefully(stream)

    async def close_idle(self) -> None:
        """Close the connections idle for more than `IDLE` seconds. Cancelled: they are still closed."""
        late = trio.current_time() - IDLE
        old = [stream for stream, since in self._idle if since <= late]
        self._idle = self._idle[len(old) :]
        for stream in old:
            await trio.aclose_forcefully(stream)

    async def post(self, request: bytes, most: int, on_head: Callable[[HttpResponse], None]) -> HttpResponse:
        """Send `request`; return the answer with at most `most` octets of its body. `on_head` gets the head at once.

        If an idle connection turns out to be closed, a new one is used. Cancelled: the connection is closed.
        """
        self._posts += 1
        try:
            kept = await self._take()
            if kept is not None:
                try:
                    return await self._exchange(kept, request, most, on_head, kept=True)
                except _Stale:
                    pass  # it was closed while idle: repeat once, on a new connection
            try:
                return await self._exchange(await self._open(), request, most, on_head)
            except _Stale as error:
                raise NetworkError(
                    NetworkKind.CLOSED, "ECONNECTION", "the connection broke before an answer"
                ) from error
        finally:
            self._posts -= 1

    async def _take(self) -> trio.abc.Stream | None:
        while self._idle:
            stream, since = self._idle.pop()
            usable = False
            try:
                usable = trio.current_time() - since <= IDLE and await _is_silent(stream)
            finally:
                if not usable:
                    await trio.aclose_forcefully(stream)
            if usable:
                return stream
        return None

    async def _open(self) -> trio.abc.Stream:
        stream = await self._connect()
        if self._tls is None:
            return stream
        secured = trio.SSLStream(stream, _tls_context(), server_hostname=self._tls, https_compatible=True)
        done = False
        try:
            await secured.do_handshake()
            done = True
            return secured
        except trio.BrokenResourceError as error:
            raise NetworkError(NetworkKind.TLS, "ETLS", f"no TLS: {error.__cause__ or error}") from error
        finally:
            if not done:
                await trio.aclose_forcefully(stream)

    async def _exchange(
        self,
        stream: trio.abc.Stream,
        request: bytes,
        most: int,
        on_head: Callable[[HttpResponse], None],
        *,
        kept: bool = False,
    ) -> HttpResponse:
        keep = False
        try:

            def heard(reply: HttpResponse) -> None:
                if kept and reply.status == 408:
                    # A 408 sent because the connection was idle, which crossed our request (RFC 9110 section 15.5.9).
                    raise _Stale
                on_head(reply)

            answering, sent = await _ask(stream, request, heard)
            keep = await _finish(stream, answering, most) and sent
            return answering.reply
        finally:
            if keep and len(self._idle) < self._most:
                self._idle.append((stream, trio.current_time()))
            else:
                await trio.aclose_forcefully(stream)


class _Stale(Exception):
    """The connection ended before the first octet of an answer."""


async def _ask(
    stream: trio.abc.Stream, request: bytes, heard: Callable[[HttpResponse], None]
) -> tuple[Answering, bool]:
    """Send `request` and read the head of the answer; also return whether the whole request was sent.

    A refusal ends the sending. After an early 2xx the rest is still sent, since the receiver may yet read it.
    """
    answering = Answering()
    sent = False
    meanwhile = trio.CancelScope()

    async def send() -> None:
        nonlocal sent
        try:
            await stream.send_all(request)
            sent = True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # an answer sent before the connection broke can still be read
        meanwhile.cancel()

    if len(request) <= CHUNK:
        await send()
        await _head(stream, answering)
        heard(answering.reply)
        return answering, sent
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        try:
            await _head(stream, answering)
            heard(answering.reply)
        except (_Stale, ProtocolError) as error:
            failure = error
        if failure is None and 200 <= answering.reply.status < 300:
            with meanwhile:
                await _drain(stream, answering)
        else:
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answering, sent


async def _drain(stream: trio.abc.Stream, answering: Answering) -> None:
    """Read the body while the rest of the request is sent: a receiver that echoes it would otherwise stop reading."""
    try:
        while chunk := await stream.receive_some(CHUNK):
            if answering.received < MOST_BODY:
                answering.feed(chunk)
            else:
                answering.end()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the head is what counts
    answering.end()


async def _head(stream: trio.abc.Stream, answering: Answering) -> None:
    error: Exception | None = None
    chunk: bytes | bytearray = b""
    while not answering.feed(chunk):
        try:
            chunk = await stream.receive_some(CHUNK)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as broken:
            error, chunk = broken, b""
        if not chunk:
            if not answering.began:
                raise _Stale from error
            answering.end()
            return


async def _finish(stream: trio.abc.Stream, answering: Answering, most: int) -> bool:
    """Read the rest of the answer as far as useful; return whether the connection can be reused."""
    reply = answering.reply

    def wanted() -> bool:
        if answering.ended or answering.received >= MOST_BODY:
            return False
        return answering.reusable or (len(reply.body) < most and not 200 <= reply.status < 300)

    if wanted():
        with trio.move_on_after(BODY_SECONDS):
            try:
                while wanted() and (chunk := await stream.receive_some(CHUNK)):
                    answering.feed(chunk)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the head is what counts
    del reply.body[most:]
    return answering.ended and answering.reusable


async def _is_silent(stream: trio.abc.Stream) -> bool:
    """Whether there is nothing to read, not even the end of the stream."""
    if isinstance(stream, trio.SocketStream):
        return not stream.socket.is_readable()
    silent = True

    async def look() -> None:
        nonlocal silent
        try:
            await stream.receive_some(1)
        except trio.BrokenResourceError:
            pass
        silent = False

    # TLS may have buffered octets that are no longer in the socket, so attempt a read.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        for _ in range(LOOK_STEPS):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return silent


_context: ssl.SSLContext | None = None


def _tls_context() -> ssl.SSLContext:
    """The shared context: creating one loads every certificate of the system."""
    global _context
    if _context is None:
        _context = ssl.create_default_context()
    return _context
