"""Parses an HTTP/1.1 answer (RFC 9112): status, fields, the beginning of the body, and where it ends. Pure.

Anything with a readable status counts as an answer. Lines may end without a carriage return, fields may be malformed,
the head may be too long or incomplete; then the connection is just not reused. Interim answers (1xx) are skipped, as
many as fit into `MAX_HEAD`. h11 decodes chunked bodies. Input that does not begin with an HTTP/1 status line raises
`ProtocolError`.
"""

from __future__ import annotations

import re

import h11
import msgspec

from engine.errors import ProtocolError

MAX_HEAD = 16 * 1024
"""Maximum octets of all heads of one answer, including interim ones."""
MOST_BODY = 16 * 1024
"""Octets of body up to which reading an answer to its end costs less than a new connection."""

_STATUS = re.compile(rb"HTTP/1\.([0-9])[ \t]+([0-9]{3})(?![0-9])")
_HEAD_END = re.compile(rb"\n\r?\n")
_ASKED = h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")])
_ASKED_ALL = h11.EndOfMessage()


class HttpResponse(msgspec.Struct):
    """The head of an answer and the beginning of its body. `headers` are by lower-case name, repeated ones joined."""

    status: int
    headers: dict[bytes, bytes]
    body: bytearray = msgspec.field(default_factory=bytearray)


class Answering:
    """One answer as it arrives. `reply` is available once `feed` has returned True."""

    def __init__(self) -> None:
        self._data = b""
        self._passed_over = 0
        self._left: int | None = None
        self._chunks: h11.Connection | None = None
        self._reply: HttpResponse | None = None
        self.began = False
        """Whether any octet has arrived."""
        self.received = 0
        """Octets after the head."""
        self.ended = False
        """Whether the answer is complete."""
        self.reusable = False
        """Whether the connection can be reused once this answer has ended."""

    @property
    def reply(self) -> HttpResponse:
        """The answer; only once its head has arrived."""
        assert self._reply is not None
        return self._reply

    def feed(self, octets: bytes | bytearray) -> bool:
        """Take received octets; return whether the head is complete. Raises `ProtocolError`."""
        self.began = self.began or bool(octets)
        if self._reply is not None:
            self._take_body(octets)
            return True
        self._data += octets
        while (found := _HEAD_END.search(self._data)) is not None:
            head, self._data = self._data[: found.start()], self._data[found.end() :]
            if head.strip(b"\r\n") and self._take_head(head):
                return True
            self._passed_over += found.end()
        if self._passed_over + len(self._data) > MAX_HEAD:
            self.end()
            return True
        return False

    def end(self) -> None:
        """End the input and use what has arrived. Raises `ProtocolError` if that contains no status."""
        if self._reply is None:
            if b"HTTP/1.".startswith(self._data[:7]) and _STATUS.match(self._data) is None:
                raise ProtocolError("the answer broke off")
            self._reply = _parsed(self._data)
            if self._reply.status < 200:
                raise ProtocolError("only interim answers came")
        self.ended, self.reusable = True, False

    def _take_head(self, head: bytes) -> bool:
        reply = _parsed(head)
        if 100 <= reply.status < 200 and reply.status != 101:
            return False
        self._reply = reply
        self.reusable = self._frame(reply, old=head.lstrip(b"\r\n").startswith(b"HTTP/1.0"))
        self._take_body(self._data)
        return True

    def _frame(self, reply: HttpResponse, *, old: bool) -> bool:
        """Determine how the answer ends (RFC 9112 section 6.3); return whether its end can be recognized."""
        coding = reply.headers.get(b"transfer-encoding", b"").lower()
        lengths = {each.strip() for each in reply.headers.get(b"content-length", b"").split(b",")}
        options = {each.strip() for each in reply.headers.get(b"connection", b"").lower().split(b",")}
        stays = b"keep-alive" in options if old else b"close" not in options
        if reply.status in (204, 304):
            self._left = 0
        elif coding == b"chunked":
            self._chunks = _chunks()
            return stays and lengths == {b""}
        elif not coding and len(lengths) == 1 and (length := lengths.pop()).isdigit() and len(length) < 16:
            self._left = int(length)
        return stays and self._left is not None and self._left <= MOST_BODY and reply.status != 101

    def _take_body(self, octets: bytes | bytearray) -> None:
        self.received += len(octets)
        if self._chunks is not None:
            self._take_chunks(self._chunks, octets)
        elif self._left is None:
            self.reply.body += octets
        else:
            self.reply.body += octets[: self._left]
            # Octets after the end belong to no request.
            self.reusable = self.reusable and len(octets) <= self._left
            self._left -= min(len(octets), self._left)
            self.ended = self._left == 0

    def _take_chunks(self, chunks: h11.Connection, octets: bytes | bytearray) -> None:
        try:
            if octets:
                chunks.receive_data(bytes(octets))
            while True:
                event = chunks.next_event()
                if isinstance(event, h11.Data):
                    self.reply.body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self.ended = True
                    self.reusable = self.reusable and not chunks.trailing_data[0]
                    return
                else:
                    return
        except h11.RemoteProtocolError:
            self.reusable, self._chunks, self._left = False, None, None


def _chunks() -> h11.Connection:
    """A decoder of chunks. The head was already parsed more leniently, so h11 is fed a minimal one in its place."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    connection.send(_ASKED)
    connection.send(_ASKED_ALL)
    connection.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    return connection


def _parsed(head: bytes) -> HttpResponse:
    head = head.lstrip(b"\r\n")
    status = _STATUS.match(head)
    if status is None:
        raise ProtocolError("what came back is not HTTP")
    headers: dict[bytes, bytes] = {}
    name = b""
    for line in head.split(b"\n")[1:]:
        if line[:1] in (b" ", b"\t"):
            headers[name] = headers.get(name, b"") + b" " + line.strip()
            continue
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = headers[name] + b", " + value if name in headers else value
    return HttpResponse(int(status[2]), headers)
