"""The NATS client protocol as far as publishing needs it: what is sent, and a parser of what arrives. Pure.

https://docs.nats.io/reference/reference-protocols/nats-protocol. Lines end with CRLF. `HPUB` and `HMSG` carry headers
before the payload; JetStream acknowledges a publish with a message to its reply subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from engine.errors import ProtocolError
from engine.sinks.envelope import Outgoing

LONGEST_LINE = 64 * 1024
"""Octets of a line; the INFO of a large cluster lists all of its addresses."""
LARGEST_MESSAGE = 256 * 1024
"""Octets of a message to us: all of them are acknowledgements."""
PING, PONG = b"PING\r\n", b"PONG\r\n"
HEADERS = b"NATS/1.0\r\n"
NO_ACCOUNT = "_"
"""The token of events that belong to no account."""

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class Info(msgspec.Struct, rename={"id": "server_id"}, kw_only=True):
    """What the server says of itself, as far as it matters here."""

    version: str = ""
    headers: bool = False
    jetstream: bool = False
    auth_required: bool = False
    tls_required: bool = False
    tls_available: bool = False
    max_payload: int = 1024**2
    nonce: str = ""


class Delivered(msgspec.Struct, frozen=True):
    """A message to us: its subject, the status of its headers (0: none), its payload."""

    subject: str
    status: int
    payload: bytes


class Line(msgspec.Struct, frozen=True):
    """A line without a message: `INFO`, `PING`, `PONG`, `+OK`, `-ERR`, with the rest of it."""

    verb: str
    rest: bytes


Heard = Line | Delivered


class AckError(msgspec.Struct, kw_only=True):
    """Why JetStream refused a publish or a request."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class Ack(msgspec.Struct, kw_only=True):
    """JetStream's answer to a publish or a request."""

    error: AckError | None = None
    stream: str = ""
    seq: int = 0
    duplicate: bool = False


def token_of(account: str | None) -> str:
    """An account's id as one token of a subject.

    Whatever is not a letter or digit of ASCII, `-` or `_` becomes `%XX`, octet by octet in UTF-8, so that
    percent-decoding gives the id back. `_` alone stands for no account, so an account of that name is `%5F`.
    """
    if account is None:
        return NO_ACCOUNT
    octets = account.encode("utf-8", "surrogatepass")
    if account == NO_ACCOUNT:
        return "%5F"
    return "".join(chr(octet) if octet in _PLAIN else f"%{octet:02X}" for octet in octets)


def subject_of(prefix: str, account: str | None, name: str) -> str:
    """The subject of an event."""
    return f"{prefix}.{token_of(account)}.{name}"


def connect(options: dict[str, Any]) -> bytes:
    """`CONNECT`, then `PING`, whose `PONG` tells that the login is accepted."""
    return b"CONNECT %b\r\n%b" % (msgspec.json.encode(options), PING)


def subscribe(subject: str) -> bytes:
    """`SUB`, with the number 1."""
    return f"SUB {subject} 1\r\n".encode()


def publish(event: Outgoing, subject: str, reply: str, media: str, follows: str | None) -> bytes:
    """One event. `follows`: the id of the event before, without which the stream must refuse this one."""
    headers = b"NATS/1.0\r\nNats-Msg-Id: %b\r\nContent-Type: %b\r\n" % (event.id.encode(), media.encode())
    if follows is not None:
        headers += b"Nats-Expected-Last-Msg-Id: %b\r\n" % follows.encode()
    headers += b"\r\n"
    size = len(headers)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (
        subject.encode(),
        reply.encode(),
        size,
        size + len(event.body),
        headers,
        event.body,
    )


def request(subject: str, reply: str, body: dict[str, Any]) -> bytes:
    """A request to JetStream's API."""
    payload = msgspec.json.encode(body)
    return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload)


def read_info(rest: bytes) -> Info:
    """The JSON of `INFO`. Raises `ProtocolError`."""
    try:
        return msgspec.json.decode(rest, type=Info)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"its INFO cannot be read: {error}") from error


def read_ack(message: Delivered) -> Ack:
    """What JetStream answered. Raises `ProtocolError` if it is no such answer."""
    if message.status:
        return Ack(error=AckError(code=message.status, description="no stream takes this subject"))
    try:
        return msgspec.json.decode(message.payload, type=Ack)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"an acknowledgement cannot be read: {error}") from error


class Parser:
    """Takes octets in any pieces and returns what they are."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Heard]:
        """Everything that is complete now. Raises `ProtocolError`."""
        self._buffer += data
        start = 0
        try:
            while (found := self._one(start)) is not None:
                heard, start = found
                yield heard
        finally:
            del self._buffer[:start]

    def _one(self, start: int) -> tuple[Heard, int] | None:
        end = self._buffer.find(b"\n", start)
        if (end if end >= 0 else len(self._buffer)) - start > LONGEST_LINE:
            raise ProtocolError("a line of the server is too long")
        if end < 0:
            return None
        verb, _, rest = bytes(self._buffer[start:end]).strip().partition(b" ")
        name = verb.upper()
        if name in (b"MSG", b"HMSG"):
            return self._message(rest.split(), end + 1, with_headers=name == b"HMSG")
        if name not in (b"INFO", b"PING", b"PONG", b"+OK", b"-ERR"):
            raise ProtocolError("the server does not speak NATS")
        return Line(name.decode(), rest), end + 1

    def _message(self, words: list[bytes], start: int, *, with_headers: bool) -> tuple[Heard, int] | None:
        """`MSG subject sid [reply] size`, `HMSG subject sid [reply] headers size`."""
        try:
            subject = words[0].decode()
            size = int(words[-1])
            headers = int(words[-2]) if with_headers else 0
            if len(words) < 3 + with_headers or not 0 <= headers <= size <= LARGEST_MESSAGE:
                raise ValueError
        except (ValueError, IndexError) as error:
            raise ProtocolError("the head of a message cannot be read") from error
        end = start + size
        if len(self._buffer) < end + 2:
            return None
        if self._buffer[end : end + 2] != b"\r\n":
            raise ProtocolError("a message does not end where its head says")
        status = _status(bytes(self._buffer[start : start + headers])) if headers else 0
        return Delivered(subject, status, bytes(self._buffer[start + headers : end])), end + 2


def _status(headers: bytes) -> int:
    """The status in `NATS/1.0 503`; 0 if there is none."""
    words = headers.split(b"\r\n", 1)[0].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
