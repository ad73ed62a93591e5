"""Cuts an SMTP client's bytes into command lines and message data, on the server's side. Pure.

The owner says which of the two is next. A line that ends in a bare LF is returned unchanged, so that it can be refused
explicitly. Only CRLF . CRLF ends message data (RFC 5321 section 4.1.1.4): what a lone CR or LF beside a dot means is
disputed, and a server that takes it for the end lets one client's message carry another's (SMTP smuggling).

Memory is bounded: a command line over its limit raises `ProtocolError`; message data leaves in pieces as it arrives.
"""

from __future__ import annotations

from typing import Final

import msgspec

from engine.errors import ProtocolError

LINE_LIMIT: Final = 12_288
"""Maximum bytes of a command line; AUTH may need that many (RFC 4954 section 4)."""

_END = b"\r\n.\r\n"


class DataPiece(msgspec.Struct, frozen=True):
    """Some bytes of a message, without dot-stuffing. `last`: the message ends with them.

    `bare`: they contain a lone CR or LF. A CR is never separated from its LF.
    """

    content: bytes
    last: bool
    bare: bool


class ServerInput:
    """The buffer. `feed` it, then take lines or, after `start_data`, pieces of one message until the last."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._in_first_line = False

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._buffer += data

    def discard(self) -> bool:
        """Forget what has been fed and not been taken; return whether there was anything."""
        had = bool(self._buffer)
        self._buffer.clear()
        return had

    def line(self) -> bytes | None:
        """The next line including its end; None if it is incomplete. Raises `ProtocolError` if it is too long."""
        end = self._buffer.find(b"\n") + 1
        if end > LINE_LIMIT or (not end and len(self._buffer) > LINE_LIMIT):
            raise ProtocolError("line too long")
        if not end:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        return line

    def start_data(self) -> None:
        """Read a message next."""
        # With the CRLF of the DATA line in front, a dot in the first line needs no special rule.
        self._buffer[:0] = b"\r\n"
        self._in_first_line = True

    def data(self) -> DataPiece | None:
        """The next piece of the message; None if more bytes are needed."""
        end = self._buffer.find(_END)
        taken = end + 2 if end >= 0 else len(self._buffer) - self._begun_end()
        if taken <= (2 if self._in_first_line else 0) and end < 0:
            return None
        raw = bytes(self._buffer[:taken])
        del self._buffer[: taken if end < 0 else end + len(_END)]
        pairs = raw.count(b"\r\n")
        bare = raw.count(b"\n") != pairs or raw.count(b"\r") != pairs
        content = raw.replace(b"\r\n.", b"\r\n")
        if self._in_first_line:
            content, self._in_first_line = content[2:], False
        return DataPiece(content, last=end >= 0, bare=bare)

    def _begun_end(self) -> int:
        """How many bytes at the end of the buffer may begin the end of data, or a line with a stuffed dot."""
        return next((size for size in range(4, 0, -1) if self._buffer.endswith(_END[:size])), 0)
