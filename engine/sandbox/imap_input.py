"""Cuts an IMAP client's bytes into commands and their arguments (RFC 3501 section 9). Pure.

A command consists of its lines and the literals between them; `tokens` turns these into atoms, strings and lists
without recursion. `ProtocolError` is raised for lines over `LINE_LIMIT` and literals too large for their command; the
connection must then end. `Syntax` is raised for a command that cannot be parsed.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from engine.errors import ProtocolError

LINE_LIMIT: Final = 65_536
"""Maximum bytes of all lines of one command, without literals."""
LITERAL_LIMIT: Final = 65_536
"""Maximum bytes of all literals of a command other than APPEND."""
MAX_DEPTH: Final = 20
"""Maximum levels of nested lists."""

_LITERAL = re.compile(rb"\{([0-9]{1,12})(\+?)\}$")
_APPEND = re.compile(rb"[^ ]+ APPEND ", re.IGNORECASE)
# An atom here is anything but a string, list or space; brackets group, for BODY[HEADER.FIELDS (TO CC)].
_TOKEN = re.compile(
    rb'( )|(\()|(\))|"((?:[^"\\]|\\["\\])*)"|((?:[^ (){"\[\x00-\x1f\x7f-\xff]|\[[^\]\x00-\x1f\x7f-\xff]*\])+)'
)


class Syntax(Exception):
    """The command cannot be parsed; the text says why, as a server would."""


class Atom(str):
    """An argument written without quotes."""


Token = Atom | bytes | list["Token"]
"""An atom, a string (quoted or literal), or a list."""


class ReceivedCommand(msgspec.Struct, frozen=True):
    """Lines and literals in alternation: text, literal, text ... text."""

    parts: tuple[bytes, ...]


class ReceivedLiteral(msgspec.Struct, frozen=True):
    """The client asks to send a literal of `size` bytes; `start` is the command so far."""

    size: int
    start: tuple[bytes, ...]


class ImapInput:
    """The buffer. `feed` it, then take commands, or single lines where the protocol expects one."""

    def __init__(self) -> None:
        self.append_limit = LITERAL_LIMIT
        """Maximum bytes of a message in APPEND; to be raised once the client has logged in."""
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._line_bytes = 0
        self._literal_bytes = 0
        self._awaited: int | None = None

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._buffer += data

    def line(self) -> bytes | None:
        """The next line without its end; None if it is incomplete."""
        end = self._buffer.find(b"\n")
        if end > LINE_LIMIT or (end < 0 and len(self._buffer) > LINE_LIMIT):
            raise ProtocolError("Command line too long")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def command(self) -> ReceivedCommand | ReceivedLiteral | None:
        """The next command, or a literal to allow (by asking again) or to `refuse`; None if more bytes are needed."""
        while True:
            if self._awaited is not None:
                if len(self._buffer) < self._awaited:
                    return None
                self._parts.append(bytes(self._buffer[: self._awaited]))
                del self._buffer[: self._awaited]
                self._literal_bytes += self._awaited
                self._awaited = None
            line = self.line()
            if line is None:
                return None
            self._line_bytes += len(line)
            if self._line_bytes > LINE_LIMIT:
                raise ProtocolError("Command line too long")
            literal = _LITERAL.search(line)
            if literal is None:
                command = ReceivedCommand((*self._parts, line))
                self._start_over()
                return command
            self._parts.append(line[: literal.start()])
            self._awaited = int(literal[1])
            if not literal[2]:
                return ReceivedLiteral(self._awaited, tuple(self._parts))
            if self._awaited > self._allowed():
                raise ProtocolError("Literal too large")

    def too_large(self, literal: ReceivedLiteral) -> bool:
        """Whether a literal is larger than its command allows."""
        return literal.size > self._allowed()

    def refuse(self) -> None:
        """Drop the command whose literal was refused: it has been answered."""
        self._start_over()

    def _start_over(self) -> None:
        self._parts.clear()
        self._line_bytes = 0
        self._literal_bytes = 0
        self._awaited = None

    def _allowed(self) -> int:
        limit = self.append_limit if _APPEND.match(self._parts[0]) else LITERAL_LIMIT
        return limit - self._literal_bytes


def tokens(parts: tuple[bytes, ...]) -> list[Token]:
    """The arguments of a command. Raises `Syntax`."""
    stack: list[list[Token]] = [[]]
    for index, part in enumerate(parts):
        if index % 2:
            stack[-1].append(part)
        else:
            _read_line(part, stack)
    if len(stack) > 1:
        raise Syntax("Missing ')'")
    return stack[0]


def _read_line(line: bytes, stack: list[list[Token]]) -> None:
    at = 0
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            raise Syntax(_what_is_wrong(line[at]))
        at = match.end()
        if match[5] is not None:
            stack[-1].append(Atom(match[5].decode("ascii")))
        elif match[4] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[4]))
        elif match[2] is not None:
            if len(stack) > MAX_DEPTH:
                raise Syntax("Too many '('")
            inner: list[Token] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif match[3] is not None:
            if len(stack) == 1:
                raise Syntax("Unexpected ')'")
            stack.pop()


def _what_is_wrong(byte: int) -> str:
    if byte == ord('"'):
        return "Missing '\"'"
    return "8bit data in atom" if byte > 0x7F else "Invalid characters in atom"


def text(token: Token) -> str:
    """An argument that may be an atom or a string. Raises `Syntax`."""
    if isinstance(token, Atom):
        return str(token)
    if isinstance(token, bytes):
        return token.decode("utf-8", "surrogateescape")
    raise Syntax("Invalid arguments")


def atoms(token: Token) -> list[str]:
    """A list of atoms, or one atom on its own. Raises `Syntax`."""
    found = []
    for item in token if isinstance(token, list) else [token]:
        if not isinstance(item, Atom):
            raise Syntax("Invalid arguments")
        found.append(str(item))
    return found


class SequenceSet:
    """A sequence set, `2,4:7,9:*` (RFC 3501 section 9). Raises `Syntax`."""

    def __init__(self, written: str) -> None:
        self._ranges: list[tuple[int | None, int | None]] = []
        for part in written.split(","):
            match = _RANGE.fullmatch(part)
            if match is None:
                raise Syntax("Invalid messageset")
            first = _number(match[1])
            self._ranges.append((first, _number(match[2]) if match[2] else first))

    def spans(self, last: int) -> list[tuple[int, int]]:
        """The numbers as ranges from low to high, in order and without overlap, `*` being `last`."""
        ends = ((last if a is None else a, last if b is None else b) for a, b in self._ranges)
        merged: list[tuple[int, int]] = []
        for low, high in sorted((min(pair), max(pair)) for pair in ends):
            if merged and low <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(high, merged[-1][1])
            else:
                merged.append((low, high))
        return merged


_RANGE = re.compile(r"([1-9][0-9]{0,9}|\*)(?::([1-9][0-9]{0,9}|\*))?")


def _number(written: str) -> int | None:
    return None if written == "*" else int(written)


def written_set(numbers: list[int]) -> str:
    """Numbers in order as a sequence set: `2,4:7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join(":".join(str(end) for end in run) for run in runs)
