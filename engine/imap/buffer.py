"""Buffers received bytes until they are used: lines and counted runs are taken from the front.

No byte is scanned twice: the search for a line end continues where the last one stopped, and a literal is only counted.
The buffer holds at most one limit plus one network read; more without a line end raises `ProtocolError`.
"""

from __future__ import annotations

from engine.errors import ProtocolError


class ReceiveBuffer:
    """`feed` appends bytes at the back; `take_line` and `take` remove them from the front."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._scanned = 0

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Append bytes from the network."""
        self._data += data

    def take_line(self, limit: int) -> bytes | None:
        """The next line without its CRLF or LF; None if its end has not arrived.

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
        """The next `size` bytes; None unless all have arrived."""
        if len(self._data) < size:
            return None
        with memoryview(self._data) as view:
            data = bytes(view[:size])
        self._drop(size)
        return data

    def _drop(self, size: int) -> None:
        # CPython moves the start of a bytearray instead of copying the rest, so the cost does not depend on the length.
        del self._data[:size]
        self._scanned = 0
