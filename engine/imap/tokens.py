"""IMAP's response grammar: bytes in, one tree of tokens per response out (RFC 9051 section 9).

An atom is a `str`, a quoted string or literal is `bytes` (its charset is the caller's question), NIL is None, a
parenthesised list is a `list`. A section such as `BODY[HEADER.FIELDS (DATE)]<0>` is one atom. Status lines,
continuation requests and SEARCH replies are not taken apart: their text is prose, or too long to be worth a tree.
It is incremental, keeps its own stack instead of recursing, and spends time in proportion to the bytes it is fed. What
breaks the grammar or `limits` raises `ProtocolError`; the tokenizer is of no use after that.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TypeAlias

import msgspec

from engine.errors import ProtocolError
from engine.imap import limits
from engine.imap.buffer import ReceiveBuffer

Node: TypeAlias = "str | bytes | list[Node] | None"
"""An atom, a string, NIL or a list of nodes."""

# Every alternative is possessive, a section may not hold another "[", and what breaks the grammar takes the rest of the
# line with it, so no input is scanned more than twice. There are no groups: what a token is, its first byte says
# (`_KINDS`).
_TOKEN = re.compile(
    rb"""
      "[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)                # quoted string, perhaps without its end
    | [()]
    | ~?\{[0-9]{1,20}\+?\}\Z                                # literal, its bytes follow the line
    | (?:BODY|BINARY)[.A-Z]*+\[[^][]*+\](?:<[0-9]++>)?+     # section, an atom
    | [^\x00-\x20\x7f()"{][^\x00-\x20\x7f()"{]*+            # atom
    | [^ ].*+                                              # anything else has no place here
    """,
    re.VERBOSE | re.DOTALL,
)
_WITH_ESCAPES = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LITERAL = re.compile(rb"~?\{([0-9]{1,20})\+?\}")
_ATOM, _NIL, _QUOTED, _OPEN, _CLOSE, _OTHER = range(6)
_KINDS = bytearray(256)
_KINDS[:33] = bytes([_OTHER]) * 33
for _first, _kind in zip(b'Nn"(){~\x7f', (_NIL, _NIL, _QUOTED, _OPEN, _CLOSE, _OTHER, _OTHER, _OTHER), strict=True):
    _KINDS[_first] = _kind
SHORT_LINE = 64 * 1024
"""Bytes of a line whose tokens are taken all at once, which is faster; of a longer one they might fill the memory."""

_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_WHOLE_LINE = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH|SEARCH)(?: |\Z)", re.IGNORECASE)


class Frame(msgspec.Struct, frozen=True):
    """One response as it stood on the wire.

    `line` is its first line without CRLF; `tree` the tokens after `* `, None for a response that is kept as a line;
    `size` its bytes in all; `weight` about what it costs to keep, in bytes.
    """

    line: bytes
    tree: list[Node] | None
    size: int
    weight: int


class Tokenizer:
    """Cuts what a server sends into frames. `feed` bytes, then call `next_frame` until it gives None."""

    def __init__(self) -> None:
        self._buffer = ReceiveBuffer()
        self._first: bytes | None = None
        self._tree = _Tree()
        self._literal: int | None = None
        self._size = 0

    @property
    def empty(self) -> bool:
        """True when nothing is buffered and no response is half read."""
        return not self._buffer and self._first is None

    def feed(self, data: bytes) -> None:
        """Append what came from the network."""
        self._buffer.feed(data)

    def next_frame(self) -> Frame | None:
        """The next whole response, None if more bytes are needed. Raises `ProtocolError`."""
        while True:
            if self._literal is not None:
                literal = self._buffer.take(self._literal)
                if literal is None:
                    return None
                self._tree.current.append(literal)
                self._literal = None
            line = self._buffer.take_line(limits.LINE_BYTES)
            if line is None:
                return None
            self._grow(len(line) + 2)
            if self._first is None:
                if not line.startswith(b"* ") or _WHOLE_LINE.match(line):
                    size, self._size = self._size, 0
                    return Frame(line, None, size, size + limits.FRAME_WEIGHT)
                self._first = line
                line = line[2:]
            self._literal = self._tree.add(line)
            if self._literal is None:
                return self._finish(self._first)
            if self._literal > limits.LITERAL_BYTES:
                raise ProtocolError(f"The server announced a literal of {self._literal} bytes")
            self._grow(self._literal)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > limits.RESPONSE_BYTES:
            raise ProtocolError(f"The server sent a response of more than {limits.RESPONSE_BYTES} bytes")

    def _finish(self, first: bytes) -> Frame:
        weight = self._size + limits.FRAME_WEIGHT + limits.TOKEN_WEIGHT * self._tree.tokens
        frame = Frame(first, self._tree.finish(), self._size, weight)
        self._first = None
        self._tree = _Tree()
        self._size = 0
        return frame


def parse_text(text: bytes) -> list[Node]:
    """The tokens of a text that stands alone, such as a response code's arguments. Raises `ProtocolError`."""
    tree = _Tree()
    if tree.add(text) is not None:
        raise ProtocolError("A literal has no place here")
    return tree.finish()


class _Tree:
    """The tree of one response while its lines come in."""

    def __init__(self) -> None:
        self.current: list[Node] = []
        self.tokens = 0
        self._stack: list[list[Node]] = []

    def add(self, line: bytes) -> int | None:
        """Add one line's tokens; the size of the literal that follows, None if the response ends here."""
        tokens = _tokens(line, limits.RESPONSE_TOKENS - self.tokens)
        self.tokens += len(tokens)
        current, stack, kinds = self.current, self._stack, _KINDS
        literal = None
        for token in tokens:
            kind = kinds[token[0]]
            if kind == _ATOM:
                current.append(token.decode("utf-8", "replace"))
            elif kind == _OPEN:
                if len(stack) == limits.LIST_DEPTH:
                    raise ProtocolError(f"The server nested lists more than {limits.LIST_DEPTH} deep")
                stack.append(current)
                inner: list[Node] = []
                current.append(inner)
                current = inner
            elif kind == _CLOSE:
                if not stack:
                    raise ProtocolError("The server closed a list it had not opened")
                current = stack.pop()
            elif kind == _NIL:
                current.append(None if token.upper() == b"NIL" else token.decode("utf-8", "replace"))
            elif kind == _QUOTED:
                current.append(_quoted(token))
            elif match := _LITERAL.fullmatch(token):
                literal = int(match[1])
            elif token.startswith(b"~"):
                current.append(token.decode("utf-8", "replace"))
            else:
                raise ProtocolError(f"The server sent {token[:1]!r} where it has no place")
        self.current = current
        return literal

    def finish(self) -> list[Node]:
        """The whole tree. Raises `ProtocolError` if a list is still open."""
        if self._stack:
            raise ProtocolError("The server did not close a list")
        return self.current


def _quoted(token: bytes) -> bytes:
    if b"\\" not in token:
        if len(token) > 1 and token.endswith(b'"'):
            return token[1:-1]
    elif _WITH_ESCAPES.fullmatch(token):
        return _ESCAPE.sub(rb"\1", token[1:-1])
    raise ProtocolError("The server did not end a quoted string")


def _tokens(line: bytes, most: int) -> list[bytes]:
    if len(line) <= SHORT_LINE:
        found = _TOKEN.findall(line)
    else:
        found = [match[0] for match in islice(_TOKEN.finditer(line), most + 1)]
    if len(found) > most:
        raise ProtocolError(f"The server sent a response of more than {limits.RESPONSE_TOKENS} tokens")
    return found
