"""What a stranger may send to the port of the engine, made from a seed: HTTP/1, websockets, HTTP/2, TLS and noise."""

from __future__ import annotations

import random
import struct
from typing import NamedTuple

METHODS = (
    [b"GET"] * 6 + [b"POST"] * 3 + [b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"PRI", b"get", b"X"]
)
TARGETS = [
    b"/health", b"/health", b"/openapi.json", b"/v1/accounts", b"/v1/account", b"/v1/account/x", b"/v1/events",
    b"/v1/events/stream", b"/v1/outbox?page=1", b"/v1/account/x/submit", b"/v1/settings?webhooks=true", b"/", b"//",
    b"/%", b"/%00", b"/%ff%fe", b"/a/../b", b"/%2e%2e", b"/v1/account/%2F%252F", b"/?a=%ff&a",
    b"/x?access_token=%00", b"*", b"", b"health", b"?x", b"http://x/health", b"https://[::1]:1/v1/accounts",
    b"http://[", b"x:443", b"/\xff", b"/" + b"a" * 9000, b"/\xc3\xa9", b"/a\tb", b"/v1/events/sse",
]  # fmt: skip
VERSIONS = (
    [b"HTTP/1.1"] * 12 + [b"HTTP/1.0"] * 2 + [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.9", b"http/1.1", b"HTTP/11", b""]
)
FIELDS = [
    b"Host: y", b"Host: \xff", b"Host: a..b", b"Host: [::1]", b"Host:", b"Connection: close",
    b"Connection: keep-alive", b"Connection: Upgrade", b"Connection: Upgrade, \xff",
    b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"Upgrade: websocket", b"Upgrade: foo/2, websocket",
    b"HTTP2-Settings: a", b"HTTP2-Settings: AAX_____", b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Expect: 100-continue",
    b"Expect: \xff", b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 5, 5",
    b"Content-Length: 99999999999999999999", b"Content-Length: 5x", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: \x0bchunked", b"TE: trailers",
    b"Sec-WebSocket-Protocol: \xff", b"Sec-WebSocket-Protocol: a, b",
    b"Sec-WebSocket-Extensions: permessage-deflate; x=\xff", b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Version: \xff", b"Sec-WebSocket-Key: \xff", b"Sec-WebSocket-Key: ",
    b"Content-Type: application/json", b"Content-Type: \xff", b"Authorization: Bearer x", b"Authorization: \xff",
    b"Idempotency-Key: \xc3\xa9", b"X: a\x01b", b"X: a\x00b", b"X: a\rb", b"X: a\r\n b", b"X : a", b": a", b"X",
    b"\xff: a", b"X: " + b"a" * 3000, b"Last-Event-ID: \xb2", b"Cookie: a=\x01", b"X-Forwarded-For: \xff",
    b"Range: bytes=0-",
]  # fmt: skip
BODIES = [
    b"", b"{}", b"[]", b'{"account":null}', b"hello", b"\xff\xfe", b"[" * 500, b'{"a":' * 300, b'"\\ud800"',
    b"1e999",
]  # fmt: skip
SPECIAL = [
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b":", b"\xff", b"\x80", b"%", b"\r\n\r\n", b"HTTP/1.1", b"0\r\n\r\n",
    b"\x7f",
]  # fmt: skip
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Input(NamedTuple):
    """One connection: what is sent, in pieces, and how it ends (`read`, `half`, `close` or `reset`)."""

    pieces: list[bytes]
    ending: str

    @property
    def data(self) -> bytes:
        """All that is sent."""
        return b"".join(self.pieces)


def made(seed: int, number: int, token: str) -> Input:
    """Input `number` of `seed`; some carry `token`."""
    rng = random.Random(f"{seed} {number}")
    login = b"Authorization: Bearer " + token.encode() if rng.random() < 0.5 else b""
    kind = rng.choices((_requests, _websocket, _http2, _noise), (6, 5, 1, 1))[0]
    data = kind(rng, login)
    if rng.random() < 0.3:
        data = _changed(rng, data)
    return Input(_cut(rng, data), rng.choices(("read", "half", "close", "reset"), (6, 3, 1, 2))[0])


def _requests(rng: random.Random, login: bytes) -> bytes:
    return b"".join(_request(rng, login) for _ in range(rng.choice((1, 1, 1, 2, 3, 8))))


def _request(rng: random.Random, login: bytes) -> bytes:
    lines = [b" ".join((rng.choice(METHODS), rng.choice(TARGETS), rng.choice(VERSIONS)))]
    lines += [b"Host: x"] * (rng.random() < 0.95)
    lines += [login] * bool(login)
    lines += rng.choices(FIELDS, k=rng.choice((0, 0, 1, 1, 2, 4)))
    if rng.random() < 0.03:
        lines += [b"A: b"] * rng.choice((50, 200, 8000))
    body = rng.choice(BODIES)
    framing = rng.random()
    if framing < 0.3:
        lines.append(b"Content-Length: %d" % max(0, len(body) + rng.choice((0, 0, 0, 0, -1, 1))))
    elif framing < 0.55:
        lines.append(b"Transfer-Encoding: chunked")
        body = _chunked(rng, body)
    return rng.choice((b"", b"", b"", b"\r\n")) + b"\r\n".join(lines) + b"\r\n\r\n" + body


def _chunked(rng: random.Random, body: bytes) -> bytes:
    out = b""
    while body:
        size = rng.randint(1, len(body))
        extension = rng.choice((b"", b"", b"", b";a=b", b";\xff", b" "))
        out += b"%x%b\r\n%b\r\n" % (size + (rng.random() < 0.05), extension, body[:size])
        body = body[size:]
    return out + rng.choice(
        (b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"0\r\nA b\r\n\r\n", b"zz\r\n", b"f" * 30 + b"\r\n")
    )


def _websocket(rng: random.Random, login: bytes) -> bytes:
    lines = [b"GET /v1/events/stream%b HTTP/1.1" % rng.choice((b"", b"?after=0", b"?consumer=c", b"?after=x"))]
    lines += [b"Host: x", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"]
    lines += [b"Sec-WebSocket-Key: " + KEY] + [login] * bool(login)
    if rng.random() < 0.3:
        lines += rng.choices(FIELDS, k=1)
    if rng.random() < 0.1:
        lines.remove(rng.choice(lines[1:]))
    return b"\r\n".join(lines) + b"\r\n\r\n" + b"".join(_frame(rng) for _ in range(rng.choice((0, 1, 2, 5, 50))))


def _frame(rng: random.Random) -> bytes:
    code = struct.pack("!H", rng.choice((1000, 1001, 1005, 1006, 1015, 999, 2999, 4000, 65535)))
    plain = (b"", b'{"ack":1}', b"hi")
    odd = (b"x" * 126, b"\xff\xfe", b"\xc3", code, code + b"bye", code + b"\xff", rng.randbytes(3), b"y" * 70000)
    payload = rng.choice(odd if rng.random() < 0.2 else plain)
    fair = rng.random() < 0.7
    opcode = rng.choice((0, 1, 1, 1, 2, 8, 9, 10)) if fair else rng.randrange(16)
    first = opcode | (0x80 if fair or rng.random() < 0.5 else 0) | (0 if fair else rng.choice((0, 0, 0x10, 0x40, 0x70)))
    length = (
        len(payload) if fair or rng.random() < 0.7 else rng.choice((0, 125, 126, 65535, 65536, 2**32, 2**63 - 1, 2**63))
    )
    mask = rng.randbytes(4) if fair or rng.random() < 0.7 else b""
    return bytes((first,)) + _length(rng, length, bool(mask)) + mask + _masked(payload, mask)


def _length(rng: random.Random, length: int, masked: bool) -> bytes:
    bit = 0x80 if masked else 0
    if length < 126 and rng.random() < 0.97:
        return bytes((bit | length,))
    if length < 65536 and rng.random() < 0.97:
        return bytes((bit | 126,)) + struct.pack("!H", length)
    return bytes((bit | 127,)) + struct.pack("!Q", length)


def _masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else payload


def _http2(rng: random.Random, login: bytes) -> bytes:
    del login
    frames = b""
    for _ in range(rng.choice((0, 1, 5, 1500))):
        payload = rng.randbytes(rng.choice((0, 5, 5, 8, 20)))
        head = struct.pack("!I", len(payload))[1:] + bytes((rng.randrange(12), rng.randrange(256)))
        frames += head + struct.pack("!I", rng.randrange(5)) + payload
    upgrade = (
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
    )
    settings = rng.choice((b"", b"a", b"AAX_____", b"AAMAAABkAAQAAP__", b"\xff"))
    return rng.choice((PREFACE, upgrade + settings + b"\r\n\r\n" + PREFACE, upgrade + settings + b"\r\n\r\n")) + frames


def _noise(rng: random.Random, login: bytes) -> bytes:
    del login
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    return rng.choice((b"", hello, b"SSH-2.0-x\r\n", b"EHLO x\r\n", b"\x00")) + rng.randbytes(
        rng.choice((1, 40, 2000, 100_000))
    )


def _changed(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 4, 30)))
        new = rng.choice((b"", data[at:to] * 2, rng.choice(SPECIAL), rng.randbytes(to - at)))
        data = data[:at] + new + data[to:]
    return data


def _cut(rng: random.Random, data: bytes) -> list[bytes]:
    way = rng.random()
    if way < 0.6 or len(data) < 2:
        return [data]
    if way < 0.7 and len(data) < 600:
        return [data[at : at + 1] for at in range(len(data))]
    ends = sorted(rng.sample(range(1, len(data)), min(len(data) - 1, rng.choice((1, 2, 5)))))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]
