"""IMAP's response grammar: bytes in, one tree of tokens per response out (RFC 9051 section 9).

An atom becomes a `str`, a quoted string or literal `bytes` (its charset is for the caller to decide), NIL None, and a
parenthesised list a `list`. A section such as `BODY[HEADER.FIELDS (DATE)]<0>` is one atom. Status lines, continuation
requests and SEARCH replies are not parsed: their text is prose, or too long for a tree. The tokenizer is incremental,
uses its own stack instead of recursion, and takes time proportional to the bytes it is fed.

A response ends with the first line that does not announce a literal, whatever it contains. So a violation of the
grammar affects only its own response, which `lenient` then reads again. A line may end with a lone LF. Only lines,
literals and responses over `limits` raise `ProtocolError`, after which the tokenizer is unusable.
"""

from __future__ import annotations

import re
from itertools import islice

import msgspec

from engine.errors import ProtocolError
from engine.imap import lenient, limits
from engine.imap.buffer import ReceiveBuffer
from engine.imap.nodes import Node

"""An atom, a string, NIL or a list of nodes."""

# Every alternative is possessive, a section may not contain another "[", and a violation consumes the rest of the line,
# so no input is scanned more than twice. There are no groups: a token's first byte gives its kind (`_KINDS`).
_TOKEN = re.compile(
    rb"""
      "[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)                # quoted string, perhaps without its end
    | [()]
    | (?:BODY|BINARY)[.A-Z]*+\[[^][() ]*+(?:\ \([^][()]*+\))?+\](?:<[0-9]++>)?+  # section, an atom
    | [^\x00-\x20\x7f()"{][^\x00-\x20\x7f()"{]*+            # atom
    | [^ ].*+                                              # anything else has no place here
    """,
    re.VERBOSE | re.DOTALL,
)
_WITH_ESCAPES = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LITERAL = re.compile(rb"~?\{([0-9]{1,20})\+?\}\Z")
_LONGEST_LITERAL = 24
"""Bytes at the end of a line within which a literal is announced."""
_ATOM, _NIL, _QUOTED, _OPEN, _CLOSE, _OTHER = range(6)
_KINDS = bytearray(256)
_KINDS[:33] = bytes([_OTHER]) * 33
for _first, _kind in zip(b'Nn"(){\x7f', (_NIL, _NIL, _QUOTED, _OPEN, _CLOSE, _OTHER, _OTHER), strict=True):
    _KINDS[_first] = _kind
SHORT_LINE = 64 * 1024
"""Maximum bytes of a line whose tokens are read all at once, which is faster; a longer line's could fill the memory."""

_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_WHOLE_LINE = re.compile(rb"\*[ \t]*+(?:OK|NO|BAD|BYE|PREAUTH|SEARCH)(?:[ \t]|\Z)", re.IGNORECASE)


class Frame(msgspec.Struct, frozen=True):
    """One response as received.

    `line` is its first line without the line end; `tree` the tokens after `*`, None for a response that stays a line;
    `size` its total bytes; `weight` about the bytes of memory that it takes.
    """

    line: bytes
    tree: list[Node] | None
    size: int
    weight: int


class Tokenizer:
    """Cuts a server's bytes into frames: `feed` bytes, then call `next_frame` until it returns None."""

    def __init__(self) -> None:
        self._buffer = ReceiveBuffer()
        self._first: bytes | None = None
        self._parts: list[bytes] = []
        self._tree: _Tree | None = _Tree()
        self._literal: int | None = None
        self._size = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is buffered and no response is incomplete."""
        return not self._buffer and self._first is None

    @property
    def missing(self) -> int:
        """How many octets of the current literal are still missing."""
        return 0 if self._literal is None else max(self._literal - len(self._buffer), 0)

    def feed(self, data: bytes) -> None:
        """Append bytes from the network."""
        self._buffer.feed(data)

    def next_frame(self) -> Frame | None:
        """The next complete response; None if more bytes are needed. Raises `ProtocolError`."""
        while True:
            if self._literal is not None:
                literal = self._buffer.take(self._literal)
                if literal is None:
                    return None
                self._parts.append(literal)
                if self._tree is not None:
                    self._tree.current.append(literal)
                self._literal = None
            line = self._buffer.take_line(limits.LINE_BYTES)
            if line is None:
                return None
            self._grow(len(line) + 2)
            if self._first is None:
                if not line.startswith(b"*") or _WHOLE_LINE.match(line):
                    size, self._size = self._size, 0
                    return Frame(line, None, size, size + limits.FRAME_WEIGHT)
                self._first = line
                line = line[1:]
            announced = _LITERAL.search(line, max(len(line) - _LONGEST_LITERAL, 0)) if line.endswith(b"}") else None
            if announced is not None:
                line = line[: announced.start()]
                self._literal = int(announced[1])
            self._parts.append(line)
            if self._tree is not None and not self._tree.add(line):
                self._tree = None
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
        if self._tree is not None and self._tree.closed:
            tree, tokens = self._tree.current, self._tree.tokens
        else:
            tree, tokens = lenient.read(self._parts)
        frame = Frame(first, tree, self._size, self._size + limits.FRAME_WEIGHT + limits.TOKEN_WEIGHT * tokens)
        self._first = None
        self._parts = []
        self._tree = _Tree()
        self._size = 0
        return frame


def parse_text(text: bytes) -> list[Node]:
    """The tokens of a separate text, such as a response code's arguments."""
    tree = _Tree()
    return tree.current if tree.add(text) and tree.closed else lenient.read([text])[0]


class _Tree:
    """The tree of one response while its lines arrive."""

    def __init__(self) -> None:
        self.current: list[Node] = []
        self.tokens = 0
        self._stack: list[list[Node]] = []

    @property
    def closed(self) -> bool:
        """Whether no list is open."""
        return not self._stack

    def add(self, line: bytes) -> bool:
        """Add one line's tokens without the literal it announces; False if it violates the grammar or the limits."""
        most = limits.RESPONSE_TOKENS - self.tokens
        if len(line) <= SHORT_LINE:
            tokens = _TOKEN.findall(line)
        else:
            tokens = [match[0] for match in islice(_TOKEN.finditer(line), most + 1)]
        if len(tokens) > most:
            return False
        self.tokens += len(tokens)
        current, stack, kinds = self.current, self._stack, _KINDS
        try:
            for token in tokens:
                kind = kinds[token[0]]
                if kind == _ATOM:
                    current.append(token.decode("utf-8"))
                elif kind == _OPEN:
                    if len(stack) == limits.LIST_DEPTH:
                        return False
                    stack.append(current)
                    inner: list[Node] = []
                    current.append(inner)
                    current = inner
                elif kind == _CLOSE:
                    if not stack:
                        return False
                    current = stack.pop()
                elif kind == _NIL:
                    current.append(None if token.upper() == b"NIL" else token.decode("utf-8"))
                elif kind == _QUOTED:
                    if (string := _quoted(token)) is None:
                        return False
                    current.append(string)
                else:
                    return False
        except UnicodeDecodeError:
            return False
        self.current = current
        return True


def _quoted(token: bytes) -> bytes | None:
    if b"\\" not in token:
        if len(token) > 1 and token.endswith(b'"'):
            return token[1:-1]
    elif _WITH_ESCAPES.fullmatch(token):
        return _ESCAPE.sub(rb"\1", token[1:-1])
    return None
