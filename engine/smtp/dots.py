"""Dot-stuffing of message data (RFC 5321 section 4.5.2), over chunks cut anywhere.

Every line end becomes CRLF, including a lone CR or LF: servers disagree about what those mean, which allows a second
message to be smuggled inside the first (SMTP smuggling). The output contains exactly one end of data, which `finish`
adds. A chunk that needs no change costs a few passes of C code and no copy of its lines.
"""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")


class DotStuffer:
    """One message: `feed` each chunk, then `finish` once."""

    def __init__(self) -> None:
        self._at_line_start = True
        self._carriage_return = False

    def feed(self, chunk: bytes) -> bytes:
        """The chunk as it is sent; a CR at its end is held back until the next call."""
        if self._carriage_return:
            chunk = b"\r" + chunk
        self._carriage_return = chunk.endswith(b"\r")
        if self._carriage_return:
            chunk = chunk[:-1]
        if not chunk:
            return b""
        pairs = chunk.count(b"\r\n")
        if chunk.count(b"\n") != pairs or chunk.count(b"\r") != pairs:
            chunk = _LINE_END.sub(b"\r\n", chunk)
        dot_first = self._at_line_start and chunk.startswith(b".")
        self._at_line_start = chunk.endswith(b"\n")
        chunk = chunk.replace(b"\n.", b"\n..")
        return b"." + chunk if dot_first else chunk

    def finish(self) -> bytes:
        """The end of data, preceded by a line end if the last line has none."""
        return b".\r\n" if self._at_line_start and not self._carriage_return else b"\r\n.\r\n"
