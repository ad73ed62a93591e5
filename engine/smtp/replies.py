"""SMTP replies out of a byte stream (RFC 5321 section 4.2).

The parser takes the bytes in any cut and gives whole replies, multi-line ones as one. It accepts a bare LF and text
that is not ASCII (UTF-8, else Latin-1), and refuses what no server has reason to send: a line or a reply beyond the
limits, a code outside 200-599, lines of one reply with different codes. After a `ProtocolError` the stream has no
meaning any more: close the connection.
"""

from __future__ import annotations

import re

import msgspec

from engine.errors import ProtocolError

LINE_BYTES = 2048
REPLY_BYTES = 65536

_ENHANCED = re.compile(r"([245])\.\d{1,3}\.\d{1,3}(?=\s|$)", re.ASCII)


class Reply(msgspec.Struct, frozen=True):
    """One reply: its code and the text of each line, without code and separator."""

    code: int
    lines: tuple[str, ...]

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code of RFC 3463 if the text starts with one of the same class as the code."""
        found = _ENHANCED.match(self.lines[0])
        return found[0] if found is not None and int(found[1]) == self.code // 100 else None

    @property
    def text(self) -> str:
        """The lines joined by a space."""
        return " ".join(self.lines)

    @property
    def line(self) -> str:
        """As it came, each line with its code, joined by a line feed: `250-first` LF `250 last`."""
        *first, last = self.lines
        return "\n".join([f"{self.code}-{text}" for text in first] + [f"{self.code} {last}".rstrip()])


class ReplyParser:
    """Bytes in, replies out."""

    def __init__(self) -> None:
        self._buffer = b""
        self._code = 0
        self._lines: list[str] = []
        self._size = 0
        self.error: ProtocolError | None = None
        """What is wrong with the bytes behind the replies already given; `feed` raises it from then on."""

    @property
    def idle(self) -> bool:
        """Nothing of a next reply has come yet."""
        return not self._buffer and not self._lines and self.error is None

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that `data` completes, in order.

        Raises `ProtocolError`; replies that stood before the offending bytes are given first, the next call raises.
        """
        replies: list[Reply] = []
        if self.error is None:
            try:
                self._parse(data, replies)
            except ProtocolError as error:
                self.error = error
        if self.error is not None and not replies:
            raise self.error
        return replies

    def _parse(self, data: bytes, replies: list[Reply]) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._take(line, replies)
        if len(self._buffer) > LINE_BYTES:
            raise ProtocolError(f"The server sent a reply line of more than {LINE_BYTES} bytes")

    def _take(self, line: bytes, replies: list[Reply]) -> None:
        line = line.removesuffix(b"\r")
        if len(line) > LINE_BYTES:
            raise ProtocolError(f"The server sent a reply line of more than {LINE_BYTES} bytes")
        self._size += len(line) + 2
        if self._size > REPLY_BYTES:
            raise ProtocolError(f"The server sent a reply of more than {REPLY_BYTES} bytes")
        digits, separator = line[:3], line[3:4]
        if not (len(digits) == 3 and digits.isdigit() and b"200" <= digits < b"600" and separator in (b"", b" ", b"-")):
            raise ProtocolError(f"The server sent something that is no SMTP reply: {_decode(line[:80])!r}")
        code = int(digits)
        if self._lines and code != self._code:
            raise ProtocolError(f"The server mixed the codes {self._code} and {code} in one reply")
        self._code = code
        self._lines.append(_decode(line[4:]))
        if separator != b"-":
            replies.append(Reply(code, tuple(self._lines)))
            self._lines.clear()
            self._size = 0


def _decode(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
