"""Cuts an SMTP client's bytes into command lines and message data. Pure; the owner says which of the two is next.

It is lenient with lines: one that ends in a bare LF is returned unchanged, so that it can be refused explicitly. It is
strict with message data: only CRLF . CRLF ends it (RFC 5321 section 4.1.1.4), and a lone CR or LF is noted. Memory is
bounded: a command line over `LINE_LIMIT` raises `ProtocolError`; data over its limit is read to its end but not stored.
"""

from __future__ import annotations

from typing import Final

import msgspec

from engine.errors import ProtocolError

LINE_LIMIT: Final = 12_288
"""Most bytes of a command line; AUTH may need that many (RFC 4954 section 4)."""

_END = b"\r\n.\r\n"


class Data(msgspec.Struct, frozen=True):
    """A message sent after DATA, without dot-stuffing. `raw` is empty if `too_big`.

    `bare`: it contains a lone CR or LF.
    """

    raw: bytes
    too_big: bool = False
    bare: bool = False


class SmtpInput:
    """The buffer. `feed` it, then take lines or, after `start_data`, one message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data_limit = 0
        self._searched = 0
        self._too_big = False

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._buffer += data

    def line(self) -> bytes | None:
        """The next line including its end; None if it is incomplete."""
        end = self._buffer.find(b"\n") + 1
        if end > LINE_LIMIT or (not end and len(self._buffer) > LINE_LIMIT):
            raise ProtocolError("line too long")
        if not end:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        return line

    def start_data(self, limit: int) -> None:
        """Read a message next; store it if it has at most `limit` bytes."""
        self._data_limit = limit
        self._searched = 0
        self._too_big = False
        # With the CRLF of the DATA line in front, a dot in the first line needs no special rule.
        self._buffer[:0] = b"\r\n"

    def data(self) -> Data | None:
        """The message; None if it is incomplete."""
        end = self._buffer.find(_END, max(0, self._searched - len(_END) + 1))
        if end < 0:
            self._searched = len(self._buffer)
            if len(self._buffer) > self._data_limit + len(_END):
                self._too_big = True
                # Keep enough of the tail to recognize an end that has arrived only in part.
                del self._buffer[: -len(_END)]
                self._searched = 0
            return None
        raw = b"" if self._too_big else bytes(self._buffer[: end + 2])
        del self._buffer[: end + len(_END)]
        if self._too_big or len(raw) - 2 > self._data_limit:
            return Data(b"", too_big=True)
        lines = raw.count(b"\r\n")
        bare = raw.count(b"\n") != lines or raw.count(b"\r") != lines
        return Data(raw.replace(b"\r\n.", b"\r\n")[2:], bare=bare)
