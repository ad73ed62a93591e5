"""A client's connection under a limit on how slowly it reads: every byte that its side acknowledges shows that it does.

TLS runs over it, as it does over a plain stream; closing it ends our side only, so that what the client still sends can
be read before the socket is closed.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from engine.edge.transfer_rate import TransferRate

AT_ONCE = 16 * 1024
"""Octets up to which a write is first made without waiting. More of them in a row could keep other tasks waiting."""


class TooSlow(trio.BrokenResourceError):
    """The client was silent for too long, or too slow."""


class PacedStream(trio.abc.HalfCloseableStream):
    """`socket` is that of `stream`. `silence` is in seconds, `slowest` in bytes a second; 0: no limit."""

    def __init__(self, stream: trio.SocketStream, silence: float, slowest: int) -> None:
        self.socket = stream.socket
        self._stream = stream
        self._limits = silence, slowest
        self._transfer: TransferRate | None = None

    @contextmanager
    def transfer(self) -> Iterator[None]:
        """All that is sent in the block counts together; elsewhere each `send_all` counts by itself."""
        self._transfer = TransferRate(*self._limits)
        try:
            yield
        finally:
            self._transfer = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`. Raises `TooSlow`, `OSError`, `ClosedResourceError`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        sent = _written_at_once(self.socket, data) if len(data) <= AT_ONCE and self._transfer is None else 0
        if sent == len(data):
            return
        rate = self._transfer or TransferRate(*self._limits)
        rate.moved(sent)
        left = memoryview(data)[sent:]
        while left:
            queued = _unacknowledged(self.socket)
            with trio.CancelScope(deadline=rate.deadline()) as waiting:
                sent = await self.socket.send(left)
                rate.moved(sent)
                left = left[sent:]
            # A full buffer accepts nothing for a while; that it drains shows that the client reads.
            if waiting.cancelled_caught and not rate.moved_on(queued - _unacknowledged(self.socket)):
                raise TooSlow

    async def wait_send_all_might_not_block(self) -> None:
        """As `SocketStream` does."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What the client says; empty at its end."""
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        """End our side."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """End our side only: who accepted the connection closes its socket."""
        await self._stream.send_eof()


def _written_at_once(sock: trio.socket.SocketType, data: bytes | bytearray | memoryview) -> int:
    """How much of `data` the kernel takes now, without the limit and the turn of other tasks that waiting costs.

    Raises `OSError`, `ClosedResourceError`.
    """
    if sock.fileno() < 0:
        raise trio.ClosedResourceError
    try:
        return os.write(sock.fileno(), data)
    except BlockingIOError:
        return 0


def _unacknowledged(sock: trio.socket.SocketType) -> int:
    """Bytes that the client's side has not acknowledged yet. Raises `ClosedResourceError`."""
    if sock.fileno() < 0:
        raise trio.ClosedResourceError
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
