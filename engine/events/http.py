"""HTTP/1.1 as a webhook needs it: one POST out in one write, a status and a few octets back, connections kept.

A general client spends a millisecond of the processor on a post; with five endpoints that is time taken from those who
send mail. This one does not follow redirects, keep cookies, decompress, or read an answer to its end: a connection is
used again only where the end of the answer was reached within what is read anyway. What is not HTTP, or too long a
head, is a `ProtocolError`; a connection that breaks a `NetworkError`. The caller sets the deadline.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

import msgspec
import trio

from engine.errors import NetworkError, NetworkKind, ProtocolError

MAX_HEAD = 16 * 1024
CHUNK = 16 * 1024
IDLE = 30.0
"""Seconds a connection is kept for the next post."""

Connect = Callable[[], Awaitable[trio.abc.Stream]]


class Reply(msgspec.Struct):
    """The head of an answer. `headers` by lower-case name; of one given twice the last counts."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes = b""


class Connections:
    """Kept connections to one host and port, at most `most`; `tls` is the name to ask for, None without TLS."""

    def __init__(self, connect: Connect, tls: str | None, most: int) -> None:
        self._connect = connect
        self._tls = tls
        self._most = most
        self._idle: list[tuple[trio.abc.Stream, float]] = []

    async def aclose(self) -> None:
        """Close what is kept."""
        idle, self._idle = self._idle, []
        for stream, _ in idle:
            await trio.aclose_forcefully(stream)

    async def post(self, request: bytes, most: int, on_head: Callable[[Reply], None]) -> Reply:
        """Send `request` and read the answer, of its body about `most` octets; `on_head` hears of the head at once.

        A kept connection that turns out to be closed is replaced by a new one. Cancelled: the connection is closed.
        """
        kept = await self._take()
        if kept is not None:
            try:
                return await self._exchange(kept, request, most, on_head)
            except _Stale:
                pass  # it was closed while nobody looked; once, and on a new one
        try:
            return await self._exchange(await self._open(), request, most, on_head)
        except _Stale as error:
            raise NetworkError(NetworkKind.CLOSED, "ECONNECTION", "the connection broke before an answer") from error

    async def _take(self) -> trio.abc.Stream | None:
        while self._idle:
            stream, since = self._idle.pop()
            if trio.current_time() - since <= IDLE:
                return stream
            await trio.aclose_forcefully(stream)
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
        self, stream: trio.abc.Stream, request: bytes, most: int, on_head: Callable[[Reply], None]
    ) -> Reply:
        keep = False
        try:
            reply, rest = await _head(stream, request)
            on_head(reply)
            keep = await _body(stream, reply, rest, most)
            return reply
        finally:
            if keep and len(self._idle) < self._most:
                self._idle.append((stream, trio.current_time()))
            else:
                await trio.aclose_forcefully(stream)


class _Stale(Exception):
    """The connection ended before a first octet came."""


async def _head(stream: trio.abc.Stream, request: bytes) -> tuple[Reply, bytes]:
    data = b""
    try:
        await stream.send_all(request)
        while True:
            while b"\r\n\r\n" not in data:
                if len(data) > MAX_HEAD:
                    raise ProtocolError("what came back has a head too long for HTTP")
                chunk = await stream.receive_some(CHUNK)
                if not chunk:
                    raise _Stale if not data else ProtocolError("the answer broke off")
                data += chunk
            head, _, data = data.partition(b"\r\n\r\n")
            reply = _parse(head)
            if reply.status >= 200:
                return reply, data
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        if not data:
            raise _Stale from error
        raise NetworkError(NetworkKind.CLOSED, "ECONNECTION", "the connection broke before an answer") from error


def _parse(head: bytes) -> Reply:
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or len(words[1]) != 3 or not words[1].isdigit():
        raise ProtocolError("what came back is not HTTP")
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    if words[0] == b"HTTP/1.0":
        headers.setdefault(b"connection", b"close")
    return Reply(int(words[1]), headers)


async def _body(stream: trio.abc.Stream, reply: Reply, data: bytes, most: int) -> bool:
    """Read a little of the body into `reply`; whether its end was reached and the connection can be used again."""
    length: int | None = None
    if reply.status in (204, 304):
        length = 0
    elif b"transfer-encoding" not in reply.headers:
        text = reply.headers.get(b"content-length", b"")
        length = int(text) if text.isdigit() and len(text) < 16 else None
    wanted = most if length is None else min(length, most)
    try:
        while len(data) < wanted:
            chunk = await stream.receive_some(CHUNK)
            if not chunk:
                break
            data += chunk
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        length = None  # the head is what counts
    reply.body = data[:most]
    return length == len(data) and reply.headers.get(b"connection", b"").lower() != b"close"


_context: ssl.SSLContext | None = None


def _tls_context() -> ssl.SSLContext:
    """One for all: making it reads every certificate of the machine."""
    global _context
    if _context is None:
        _context = ssl.create_default_context()
    return _context
