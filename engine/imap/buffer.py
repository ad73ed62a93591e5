"""The bytes received and not yet used: lines and counted runs are taken from the front.

It never scans a byte twice: a search for the end of a line goes on where the last one stopped, and a literal is only
counted. It holds at most one limit and one network read of data; more without a line end is a `ProtocolError`.
"""

from __future__ import annotations

from engine.errors import ProtocolError


class ReceiveBuffer:
    """Bytes in at the back by `feed`, out at the front by `take_line` and `take`."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._scanned = 0

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Append what came from the network."""
        self._data += data

    def take_line(self, limit: int) -> bytes | None:
        """The next line without its CRLF or LF, None if its end is not here yet.

        Raises `ProtocolError` once the line is longer than `limit` bytes.
        """
        end = self._data.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._data)
        if max(end, self._scanned) > limit + 1:
            raise ProtocolError(f"The server sent a line of more than {limit} bytes")
        if end < 0:
            return None
        line = bytes(self._data[: end - 1 if self._data[end - 1 : end] == b"\r" else end])
        self._drop(end + 1)
        return line

    def take(self, size: int) -> bytes | None:
        """The next `size` bytes, None if they are not all here yet."""
        if len(self._data) < size:
            return None
        with memoryview(self._data) as view:
            data = bytes(view[:size])
        self._drop(size)
        return data

    def _drop(self, size: int) -> None:
        # CPython moves the start of a bytearray instead of copying the rest, so this costs the same for any length.
        del self._data[:size]
        self._scanned = 0
