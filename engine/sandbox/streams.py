"""Two connected byte streams in memory, in place of a TCP connection.

Each direction buffers at most `limit` bytes: a writer whose peer does not read waits, as on a socket.
`trio.testing.memory_stream_pair` accepts everything at once, which would hide senders that cannot handle back-pressure,
and would hold a large message in memory twice. After one side closes, the other reads what was written, then the end of
the stream; a write to a closed side raises `trio.BrokenResourceError`. A cancelled read loses no bytes; a cancelled
write may have written any part.
"""

from __future__ import annotations

import operator
from types import TracebackType

import trio

LIMIT = 65536


class MemoryStream(trio.abc.HalfCloseableStream):
    """One side of the connection. Made by `stream_pair`; used like a `trio.SocketStream`."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._sending = _OneTask("another task is sending on this stream")
        self._receiving = _OneTask("another task is receiving on this stream")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data`, waiting while the other side's buffer is full.

        Raises `trio.BrokenResourceError` if the other side is closed. Cancelled: an unknown part of it was written.
        """
        pipe = self._outgoing
        with self._sending, memoryview(data) as view:
            await trio.lowlevel.checkpoint()
            pipe.check_writable()
            done = 0
            while done < len(view):
                room = pipe.limit - len(pipe.data)
                if room:
                    pipe.data += view[done : done + room]
                    done += room
                    pipe.changed.unpark_all()
                else:
                    await pipe.changed.park()
                    pipe.check_writable()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for at least one byte, or the other side is closed."""
        pipe = self._outgoing
        with self._sending:
            await trio.lowlevel.checkpoint()
            while pipe.writer_open and pipe.reader_open and len(pipe.data) >= pipe.limit:
                await pipe.changed.park()
            if not pipe.writer_open:
                raise trio.ClosedResourceError("this stream is closed")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes, at most `max_bytes`; empty once the other side closed and all was read.

        Cancelled: nothing lost.
        """
        pipe = self._incoming
        most = pipe.limit if max_bytes is None else operator.index(max_bytes)
        if most < 1:
            raise ValueError("max_bytes must be >= 1")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            while pipe.reader_open and pipe.writer_open and not pipe.data and not pipe.timed_out:
                await pipe.changed.park()
            if not pipe.reader_open:
                raise trio.ClosedResourceError("this stream is closed")
            if pipe.timed_out and not pipe.data:
                raise trio.TooSlowError
            return pipe.take(most)

    async def send_eof(self) -> None:
        """End the stream to the other side; reading stays possible."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._outgoing.close_writer()

    def close(self) -> None:
        """Close both directions at once; what was written can still be read by the other side."""
        self._outgoing.close_writer()
        self._incoming.close_reader()

    def time_out(self) -> None:
        """End the other side's patience: its pending and later reads raise `trio.TooSlowError`, as at a deadline."""
        self._outgoing.time_out()

    async def aclose(self) -> None:
        """The same as `close`. Cancelled: still closes."""
        self.close()
        await trio.lowlevel.checkpoint()


def stream_pair(limit: int = LIMIT) -> tuple[MemoryStream, MemoryStream]:
    """Two connected streams; each direction buffers at most `limit` bytes."""
    one, other = _Pipe(limit), _Pipe(limit)
    return MemoryStream(one, other), MemoryStream(other, one)


class _Pipe:
    """The bytes in transit in one direction, and whether each end is still open."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data = bytearray()
        self.writer_open = True
        self.reader_open = True
        self.timed_out = False
        self.changed = trio.lowlevel.ParkingLot()

    def check_writable(self) -> None:
        if not self.writer_open:
            raise trio.ClosedResourceError("this stream is closed")
        if not self.reader_open:
            raise trio.BrokenResourceError("the other side closed the connection")

    def take(self, max_bytes: int) -> bytes:
        taken = bytes(self.data[:max_bytes])
        del self.data[:max_bytes]
        self.changed.unpark_all()
        return taken

    def time_out(self) -> None:
        self.timed_out = True
        self.changed.unpark_all()

    def close_writer(self) -> None:
        self.writer_open = False
        self.changed.unpark_all()

    def close_reader(self) -> None:
        self.reader_open = False
        self.data.clear()
        self.changed.unpark_all()


class _OneTask:
    """Refuses a second task in the same place at the same time."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._busy = False

    def __enter__(self) -> None:
        if self._busy:
            raise trio.BusyResourceError(self._text)
        self._busy = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._busy = False
