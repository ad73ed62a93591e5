"""Parses SMTP replies from a byte stream (RFC 5321 section 4.2), as servers really write them.

The parser takes the bytes in pieces of any size and returns whole replies; a multi-line reply is one. A client goes by
the code alone (RFC 5321 section 4.2.1), and mostly by its first digit, so any line that begins with a digit from 2 to 5
is a reply:

* The last line decides, even if the lines of one reply have different codes (`220-hello`, `521 go away`).
* Blank lines, and lines before a reply that do not begin with such a digit, are skipped. Inside a reply, a line without
  a code is part of its text.
* `250<TAB>ok`, `250`, `250ok` and ` 250 ok` all mean 250. Of `25 ok` and `2xx ok` only the first digit is used: 250.
* A line is cut at `LINE_BYTES`, a reply at `REPLY_BYTES`; the rest is read and dropped.
* If the server never ends a reply, what was read of it counts (`cut`).

`ProtocolError` is raised only after `FLOOD_BYTES` without a reply. The stream is then useless: close the connection.
"""

from __future__ import annotations

import re

import msgspec

from engine.errors import ProtocolError
from engine.masking import Masker

LINE_BYTES = 2048
REPLY_BYTES = 65536
FLOOD_BYTES = 1 << 20

_REGULAR = re.compile(rb"([2-5][0-9][0-9])([ \t-]|\Z)")
_IN_FORM = re.compile(r"[2-5][0-9][0-9]([ \t-]|\Z)")
_FIRST = re.compile(rb"[ \t\r\0]*([2-5])([0-9]?[0-9]?)[0-9]*([ \t-]?)")
_FURTHER = re.compile(rb"[ \t\r\0]*([2-5][0-9][0-9])(?![0-9])([ \t-]?)")
_CODE_READ = re.compile(rb"[ \t\r\0]*[2-5][0-9][0-9]")
_BLANK = b" \t\r\0"
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_ENHANCED = re.compile(r"([245])\.\d{1,3}\.\d{1,3}(?=\s|$)", re.ASCII)


class Reply(msgspec.Struct, frozen=True):
    """One reply: its code and the text of each line, without code and separator.

    `raw` holds the lines as received, unless all have the form `250-text` or `250 text` with the same code.
    """

    code: int
    lines: tuple[str, ...]
    raw: tuple[str, ...] = ()

    @property
    def is_in_form(self) -> bool:
        """Whether it begins as RFC 5321 requires, with a three-digit code and a separator."""
        return not self.raw or _IN_FORM.match(self.raw[0]) is not None

    def masked(self, masker: Masker) -> Reply:
        """The same reply without secrets that the server may have echoed."""
        if not masker or masker.mask(line := self.line) == line:
            return self
        lines, raw = (tuple(masker.mask(each) for each in given) for given in (self.lines, self.raw))
        return Reply(self.code, lines, raw)

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code (RFC 3463), if the text starts with one of the same class as the code."""
        found = _ENHANCED.match(self.lines[0])
        return found[0] if found is not None and int(found[1]) == self.code // 100 else None

    @property
    def text(self) -> str:
        """The lines joined by a space."""
        return " ".join(self.lines)

    @property
    def line(self) -> str:
        """The lines as received, with their codes, joined by a line feed: `250-first` LF `250 last`."""
        if self.raw:
            return "\n".join(self.raw)
        *first, last = self.lines
        return "\n".join([f"{self.code}-{text}" for text in first] + [f"{self.code} {last}".rstrip()])


class ReplyParser:
    """Bytes in, replies out."""

    def __init__(self) -> None:
        self._buffer = b""
        self._code = 0
        self._lines: list[str] = []
        self._raw: list[str] = []
        self._regular = True
        self._size = 0
        self._unused = 0
        self.stray = ""
        """The first line that was not a reply and that no reply has followed yet, cut; empty if there is none."""
        self.strayed = False
        """There has been such a line; it may have been meant as a reply."""
        self.error: ProtocolError | None = None
        """The fault in the bytes after the replies already returned; `feed` raises it from then on."""

    @property
    def idle(self) -> bool:
        """Whether no part of the next reply has arrived; lines that are not replies may have (`stray`)."""
        return not (self._lines or self.error or self._buffer.strip(_BLANK))

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that `data` completes, in order.

        Raises `ProtocolError`; replies that came before the flood are returned first, and the next call raises.
        """
        if self.error is not None:
            raise self.error
        replies: list[Reply] = []
        *lines, rest = (self._buffer + data).split(b"\n")
        for line in lines:
            self._take(line, replies)
        self._buffer = rest if len(rest) <= LINE_BYTES else rest[:LINE_BYTES]
        self._unused = len(rest) if replies else self._unused + len(data)
        if self._unused > FLOOD_BYTES:
            begun = self.cut()
            self.error = ProtocolError(f"The server sent more than {FLOOD_BYTES} bytes without ending a reply")
            if begun is None:
                raise self.error
            replies.append(begun)
        return replies

    def cut(self) -> Reply | None:
        """End the input: the reply whose code was read but which never ended. None if none had begun."""
        line, self._buffer = self._buffer, b""
        replies: list[Reply] = []
        if self._lines or _CODE_READ.match(line):
            self._take(line, replies)
        if self._lines and not replies:
            self._complete(replies)
        return replies[0] if replies else None

    def _take(self, line: bytes, replies: list[Reply]) -> None:
        line = line[:LINE_BYTES].strip(b"\r")
        match = _REGULAR.match(line)
        if match is None:
            self._take_odd(line, replies)
        elif match[2] != b"-" and not self._lines:
            # The common case: a reply of one line.
            self.stray = ""
            replies.append(Reply(int(match[1]), (_decode(line[4:]),)))
        else:
            code = int(match[1])
            self._regular = self._regular and (not self._lines or code == self._code)
            self._code = code
            self._keep(line, 4)
            if match[2] != b"-":
                self._complete(replies)

    def _take_odd(self, line: bytes, replies: list[Reply]) -> None:
        if not line.strip(_BLANK):
            return
        if not self._lines:
            match = _FIRST.match(line)
            if match is None:
                self.stray = self.stray or _decode(line[:80])
                self.strayed = True
                return
            self._code = int(match[1] + (match[2] if len(match[2]) == 2 else b"50"))
        else:
            match = _FURTHER.match(line)
            if match is not None and int(match[1]) != self._code:
                match = None
        self._regular = False
        self._keep(line, match.end() if match is not None else 0)
        if match is not None and match[match.re.groups] != b"-":
            self._complete(replies)

    def _keep(self, line: bytes, text_from: int) -> None:
        self._size += len(line) + 2
        if self._size <= REPLY_BYTES or not self._lines:
            self._lines.append(_decode(line[text_from:]))
            self._raw.append(_decode(line))

    def _complete(self, replies: list[Reply]) -> None:
        replies.append(Reply(self._code, tuple(self._lines), () if self._regular else tuple(self._raw)))
        self._lines.clear()
        self._raw.clear()
        self._regular = True
        self._size = 0
        self.stray = ""


def _decode(text: bytes) -> str:
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(text) > LINE_BYTES - 5 and error.start > len(text) - 4:
            # The line may have been cut inside a character.
            decoded = text[: error.start].decode("utf-8")
        else:
            decoded = text.decode("latin-1")
    return decoded if decoded.isprintable() else _CONTROL.sub("\ufffd", decoded)
