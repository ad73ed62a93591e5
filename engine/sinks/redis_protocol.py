"""RESP2, the protocol of Redis, as far as publishing needs it: commands, and a parser of replies. Pure.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from engine.errors import ProtocolError
from engine.sinks.envelope import Outgoing

LONGEST_LINE = 64 * 1024
LARGEST = 4 * 1024**2
"""Octets of one reply: the longest has one stored event in it."""
DEEPEST = 8
MOST_MEMBERS = 10_000


class RedisError(msgspec.Struct, frozen=True):
    """An error as the server worded it."""

    text: str


class Incomplete(Exception):
    """More octets are needed."""


Reply = bytes | str | int | None | RedisError | list["Reply"]
"""A bulk string, a simple string, a number, nothing, an error, or a list of them."""


def command(*words: bytes | str | int) -> bytes:
    """One command."""
    octets = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n%b" % (len(octets), b"".join([_word(each) for each in octets]))


def adding(key: str, max_length: int) -> Callable[[Outgoing], bytes]:
    """Makes `XADD` commands: the words that all of them have are made once. `max_length` 0: no limit."""
    first = [b"XADD", key.encode(), *([b"MAXLEN", b"~", b"%d" % max_length] if max_length else [])]
    head, count = b"".join([_word(each) for each in first]), len(first) + 7

    def add(event: Outgoing) -> bytes:
        account, words = b"", count
        if event.account is not None:
            account, words = b"$7\r\naccount\r\n" + _word(event.account.encode("utf-8", "surrogatepass")), count + 2
        return b"*%d\r\n%b%b$7\r\neventId\r\n%b%b$5\r\nevent\r\n%b$4\r\nbody\r\n$%d\r\n%b\r\n" % (
            words,
            head,
            _word(b"%d-0" % event.seq),
            _word(event.id.encode()),
            account,
            _word(event.name.encode()),
            len(event.body),
            event.body,
        )

    return add


def _word(octets: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(octets), octets)


class Parser:
    """Takes octets in any pieces and returns replies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Every reply that is complete now. Raises `ProtocolError`."""
        self._buffer += data
        start = 0
        try:
            while start < len(self._buffer):
                reply, start = self._one(start, 0)
                yield reply
        except Incomplete:
            if len(self._buffer) - start > LARGEST:
                raise ProtocolError("a reply of Redis is too long") from None
        finally:
            del self._buffer[:start]

    def _one(self, start: int, depth: int) -> tuple[Reply, int]:
        line, start = self._line(start)
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("utf-8", "replace"), start
        if kind == b"-":
            return RedisError(rest.decode("utf-8", "replace")), start
        if kind not in (b":", b"$", b"*"):
            raise ProtocolError("the server does not speak the protocol of Redis")
        number = _number(rest)
        if kind == b":":
            return number, start
        if number == -1:
            return None, start
        if kind == b"$":
            return self._bulk(start, number)
        if not 0 <= number <= MOST_MEMBERS or depth == DEEPEST:
            raise ProtocolError("a reply of Redis is too long")
        members: list[Reply] = []
        for _ in range(number):
            member, start = self._one(start, depth + 1)
            members.append(member)
        return members, start

    def _line(self, start: int) -> tuple[bytes, int]:
        end = self._buffer.find(b"\r\n", start)
        if (end if end >= 0 else len(self._buffer)) - start > LONGEST_LINE:
            raise ProtocolError("a line of Redis is too long")
        if end < 0:
            raise Incomplete
        return bytes(self._buffer[start:end]), end + 2

    def _bulk(self, start: int, size: int) -> tuple[Reply, int]:
        if not 0 <= size <= LARGEST:
            raise ProtocolError("a reply of Redis is too long")
        end = start + size
        if len(self._buffer) < end + 2:
            raise Incomplete
        if self._buffer[end : end + 2] != b"\r\n":
            raise ProtocolError("a reply of Redis does not end where its head says")
        return bytes(self._buffer[start:end]), end + 2


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ProtocolError("a number of Redis cannot be read") from error
