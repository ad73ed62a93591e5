"""Dot-stuffing of message data (RFC 5321 section 4.5.2), over chunks cut anywhere.

Every line end becomes CRLF, a lone CR or LF included, since servers disagree about what those mean and the
disagreement is how a second message is smuggled into the first. What comes out holds exactly one end of data, the one
`finish` adds. A chunk that is already in order costs a few passes of C code and no copy of its lines.
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
        """The chunk as it goes on the wire; a CR at its end waits for the next one."""
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
        """The end of data, after the line end the last line may lack."""
        return b".\r\n" if self._at_line_start and not self._carriage_return else b"\r\n.\r\n"
