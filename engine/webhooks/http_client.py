"""HTTP/1.1 as a webhook needs it: one POST out in one write, a status and a few octets back, connections kept.

A general client spends a millisecond of the processor on a post; with five endpoints that is time taken from those who
send mail. This one does not follow redirects, keep cookies or decompress. The head of an answer decides, and what
follows it is read only to use the connection again or to show why a post was refused: at most `MOST_BODY` octets, for
at most `BODY_SECONDS`. An answer is read while a long request is still being sent, so one that comes early, before the
receiver closes the line, is not lost; a receiver that takes the event before it has read all of it is sent the rest. A
connection with anything to read before the next request is not used again: it
was closed, or holds what nobody asked for and would be taken for the next answer.

What is not HTTP is a `ProtocolError`; a connection that breaks before an answer a `NetworkError`. The caller sets the
deadline. Only sockets can be seen to be readable; other streams are asked.
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
"""Turns of the scheduler in which a stream that has something to read gives it out."""
IDLE = 30.0
"""Seconds a connection is kept for the next post."""

Connect = Callable[[], Awaitable[trio.abc.Stream]]


class Connections:
    """Kept connections to one host and port, at most `most`; `tls` is the name to ask for, None without TLS."""

    def __init__(self, connect: Connect, tls: str | None, most: int) -> None:
        self._connect = connect
        self._tls = tls
        self._most = most
        self._idle: list[tuple[trio.abc.Stream, float]] = []
        self._posts = 0

    @property
    def unused(self) -> bool:
        """Whether nothing is under way and nothing is kept."""
        return not self._posts and not self._idle

    @property
    def idle_until(self) -> float | None:
        """When the next kept connection has been idle for too long (Trio's time); None while none is kept."""
        return self._idle[0][1] + IDLE if self._idle else None

    async def aclose(self) -> None:
        """Close what is kept."""
        idle, self._idle = self._idle, []
        for stream, _ in idle:
            await trio.aclose_forcefully(stream)

    async def close_idle(self) -> None:
        """Close what has been idle for too long. Cancelled: that is closed as well."""
        late = trio.current_time() - IDLE
        old = [stream for stream, since in self._idle if since <= late]
        self._idle = self._idle[len(old) :]
        for stream in old:
            await trio.aclose_forcefully(stream)

    async def post(self, request: bytes, most: int, on_head: Callable[[HttpResponse], None]) -> HttpResponse:
        """Send `request` and read the answer, of its body at most `most` octets; `on_head` hears of the head at once.

        A kept connection that turns out to be closed is replaced by a new one. Cancelled: the connection is closed.
        """
        self._posts += 1
        try:
            kept = await self._take()
            if kept is not None:
                try:
                    return await self._exchange(kept, request, most, on_head, kept=True)
                except _Stale:
                    pass  # it was closed while nobody looked; once, and on a new one
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
                    # Said because the line was idle, and on its way when the request was (RFC 9110 section 15.5.9).
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
    """The connection ended before a first octet came."""


async def _ask(
    stream: trio.abc.Stream, request: bytes, heard: Callable[[HttpResponse], None]
) -> tuple[Answering, bool]:
    """Send `request` and read until the head of the answer is there; whether all of the request went out.

    A refusal ends the sending. A receiver that has taken the event may read it only now, so it gets the rest.
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
            pass  # what was answered before the line broke can still be read
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
    """Read what follows the head while the rest of the request goes out: who echoes it reads no further otherwise."""
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
    """Read what is left of the answer, as far as that is worth it; whether the connection can be used again."""
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
    """Whether there is nothing to read, not even the end."""
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

    # TLS may hold octets that are no longer in the socket.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        for _ in range(LOOK_STEPS):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return silent


_context: ssl.SSLContext | None = None


def _tls_context() -> ssl.SSLContext:
    """One for all: making it reads every certificate of the machine."""
    global _context
    if _context is None:
        _context = ssl.create_default_context()
    return _context
