"""What a stranger can send to the port: each connection ends only itself, and hears why in the API's own words."""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from http_service import WAIT, Service, serving

from engine.edge import connection_limit
from engine.http import http1_protocol
from engine.http.edge_log import LINES, EdgeLog, Peer, escaped, request_broke, serve_peer
from engine.http.problems import phrase
from engine.http.request_head import METHODS
from engine.http.websockets import EventWebsocket

GET = b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n"
POST = b"POST /read HTTP/1.1\r\nHost: x\r\n%b\r\n"
HANDSHAKE = (
    b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PRIORITY = b"\x00\x00\x05\x02\x00\x00\x00\x00\x03\x00\x00\x00\x01\x10"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %b\r\n"


async def exchange(service: Service, data: bytes, *, then_end: bool = True) -> bytes:
    """What comes back until the server closes; a client that `then_end`s has nothing more to say."""
    client = await service.connect()
    received = b""
    with trio.fail_after(WAIT):
        async with client:
            await client.send_all(data)
            if then_end:
                await client.send_eof()
            while chunk := await client.receive_some():
                received += chunk
    return received


async def until(client: trio.SocketStream, end: bytes) -> bytes:
    received = b""
    with trio.fail_after(WAIT):
        while not received.endswith(end) and (chunk := await client.receive_some()):
            received += chunk
    return received


def refusal(received: bytes) -> tuple[int, str]:
    """Status and message of an error; its shape must be the API's."""
    head, _, body = received.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
    status = int(line.split(" ")[1])
    error = json.loads(body)
    assert line == f"HTTP/1.1 {status} {error['error']}" and error["error"] == phrase(status) != ""
    assert error["statusCode"] == status
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert (headers["content-length"], headers["connection"]) == (str(len(body)), "close")
    return status, error["message"]


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    found: list[str] = []
    yield found
    found += [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


REFUSED = {
    "an early request line": (b"GET /\r\n\r\n", 400),
    "a version from afar": (GET.replace(b"1.1", b"3.0") % b"", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS + 1500 * PRIORITY, 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "extended CONNECT": (b"CONNECT /stream HTTP/1.1\r\nHost: x\r\n:protocol: websocket\r\n\r\n", 400),
    "all of the server": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "a star": (GET.replace(b"/ ", b"* ", 1) % b"", 400),
    "a query alone": (GET.replace(b"/ ", b"?a ", 1) % b"", 400),
    "a target beyond ASCII": (GET.replace(b"/ ", b"/\xff ", 1) % b"", 400),
    "two hosts": (GET % b"Host: y\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "an empty label": (b"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400),
    "a label too long": (b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % (b"a" * 64), 400),
    "a host beyond ASCII": (b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", 400),
    "a control character": (GET % b"X: a\x01b\r\n", 400),
    "NUL": (GET % b"X: a\x00b\r\n", 400),
    "a bare CR": (GET % b"X: a\rb\r\n", 400),
    "DEL": (GET % b"X: a\x7fb\r\n", 400),
    "a space before the colon": (GET % b"X : a\r\n", 400),
    "too many fields": (GET % (b"A: b\r\n" * 101), 431),
    "a field too long, whole": (GET % b"X: %b\r\n" % (b"a" * 33_000), 431),
    "a field too long, without end": (b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, 431),
    "two lengths": (POST % b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" + b"0\r\n\r\n", 400),
    "different lengths": (POST % b"Content-Length: 3\r\nContent-Length: 4\r\n" + b"abcd", 400),
    "chunks in HTTP/1.0": (POST.replace(b"1.1", b"1.0") % b"Transfer-Encoding: chunked\r\n" + b"0\r\n\r\n", 400),
    "another coding": (POST % b"Transfer-Encoding: gzip, chunked\r\n", 501),
    "a length that is none": (POST % b"Content-Length: 3x\r\n", 400),
    "a chunk's size that is none": (POST % b"Transfer-Encoding: chunked\r\n" + b"zz\r\n", 400),
    "a chunk's end that is none": (POST % b"Transfer-Encoding: chunked\r\n" + b"3\r\nabcd\r\n", 400),
    "a chunk's size too long": (POST % b"Transfer-Encoding: chunked\r\n" + b"1;" + b"a" * 80_000, 400),
    "a trailer that is none": (POST % b"Transfer-Encoding: chunked\r\n" + b"0\r\nA b\r\n\r\n", 400),
    "a body that breaks off": (POST % b"Content-Length: 3\r\n" + b"a", 400),
    "a handshake's token": (HANDSHAKE.replace(b"n: Upgrade", b"n: Upgrade, \xff") + b"\r\n", 400),
    "a handshake's protocol": (HANDSHAKE + b"Sec-WebSocket-Protocol: \xff\r\n\r\n", 400),
    "a handshake's extension": (HANDSHAKE + b"Sec-WebSocket-Extensions: \xff\r\n\r\n", 400),
    "a handshake's key": (HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"\xff") + b"\r\n", 400),
    "no key": (HANDSHAKE.replace(b"Sec-WebSocket-Key", b"Key") + b"\r\n", 400),
    "two keys": (HANDSHAKE + b"Sec-WebSocket-Key: a\r\n\r\n", 400),
    "another version": (HANDSHAKE.replace(b"13", b"8") + b"\r\n", 426),
    "a handshake with a body": (HANDSHAKE + b"Content-Length: 3\r\n\r\nabc", 400),
    "a handshake with chunks": (HANDSHAKE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_request_is_refused_and_the_next_is_served(tmp_path: Path, name: str) -> None:
    data, status = REFUSED[name]
    async with serving(tmp_path) as service:
        received = await exchange(service, data)
        assert refusal(received)[0] == status
        assert b"bytearray" not in received
        if status == 405:
            assert f"\r\nallow: {METHODS}\r\n".encode() in received
        assert (await exchange(service, GET % b"")).endswith(b"\r\n\r\nok")


SERVED = {
    "an upgrade to h2c": GET % (H2C % b"AAMAAABkAAQAAP__"),
    "an upgrade to h2c with settings that are none": GET % (H2C % b"a"),
    "an upgrade to h2c with settings of another kind": GET % (H2C % b"AAX_____"),
    "an upgrade to nobody knows what": GET % b"Connection: Upgrade, \xff\r\nUpgrade: \xff\r\n",
    "the absolute form": b"GET http://elsewhere:1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "the absolute form without a path": b"GET HTTP://elsewhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "a websocket's handshake in HTTP/1.0": (HANDSHAKE + b"\r\n").replace(b"1.1", b"1.0").replace(b"/stream", b"/"),
    "a folded field": GET % b"X: a\r\n b\r\n",
    "a byte beyond ASCII": GET % b"X: \xff\r\n",
    "no name for the host": GET.replace(b"Host: x", b"Host:") % b"",
    "an address for the host": GET.replace(b"Host: x", b"Host: [::1]:3000") % b"",
    "an empty line before": b"\r\n\n" + GET % b"",
    "what comes behind the last request": GET % b"Connection: close\r\n" + b"\x00" * 300_000,
    "a body with trailers": POST.replace(b"read", b"") % b"Transfer-Encoding: chunked\r\n"
    + b"1\r\na\r\n0\r\nA: b\r\n\r\n",
}


@pytest.mark.parametrize("name", SERVED)
async def test_what_can_be_read_is_served(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path) as service:
        received = await exchange(service, SERVED[name])
        assert received.startswith(b"HTTP/1.1 405 " if b"trailers" in name.encode() else b"HTTP/1.1 200 OK\r\n")


async def test_the_answer_to_a_client_that_half_closes_arrives(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        received = await exchange(service, POST % b"Content-Length: 3\r\n" + b"abc" + GET % b"")
        assert received.count(b"HTTP/1.1 200 OK\r\n") == 2 and received.endswith(b"ok")


async def test_a_request_byte_by_byte(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, await service.connect() as client:
        for byte in GET % b"Connection: close\r\n":
            await client.send_all(bytes((byte,)))
        with trio.fail_after(WAIT):
            assert (await client.receive_some()).startswith(b"HTTP/1.1 200 OK")


async def test_the_head_of_an_answer_comes_with_its_body(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, await service.connect() as client:
        for _ in range(5):
            await client.send_all(GET % b"")
            with trio.fail_after(WAIT):
                received = await client.receive_some()
            assert received.startswith(b"HTTP/1.1 200 OK") and received.endswith(b"\r\n\r\nok")


async def test_a_head_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, keep_alive=0.05) as service:
        assert refusal(await exchange(service, b"GET / HTTP/1.1\r\nHo", then_end=False))[0] == 408
        assert await exchange(service, b"", then_end=False) == b""
        assert (await exchange(service, GET % b"", then_end=False)).endswith(b"ok")


async def test_an_answer_to_head_has_no_body(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for path, length in (("/", 2), ("/large", 50_000_000)):
            received = await exchange(service, f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert received.endswith(b"\r\n\r\n") and f"content-length: {length}\r\n".encode() in received
        assert (await exchange(service, b"HEAD / HTTP/1.1\r\nHost: a..b\r\n\r\n")).endswith(b"\r\n\r\n")


def frame(opcode: int, payload: bytes, *, first: int = 0x80, mask: bytes = b"abcd") -> bytes:
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    length = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
    return bytes((first | opcode,)) + length + mask + masked


async def closing_frame(service: Service, data: bytes) -> tuple[int | None, bytes]:
    """The code of the close frame that `data` behind a handshake leads to, and what came before it."""
    received = await exchange(service, HANDSHAKE + b"\r\n" + data, then_end=False)
    head, _, frames = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    before, close, rest = frames.partition(b"\x88")
    assert close, frames
    return (struct.unpack("!H", rest[1:3])[0] if rest[0] else None), before


async def test_frames_behind_the_handshake_are_heard_once_it_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        ping, bye = frame(9, b"hello"), frame(8, struct.pack("!H", 1000))
        code, before = await closing_frame(service, ping + bye)
        # Our own first ping goes out before the pong or after it, or comes too late.
        assert (code, before.replace(b"\x89\x00", b"")) == (1000, b"\x8a\x05hello")
        assert (await closing_frame(service, frame(8, b"")))[0] is None


async def test_bytes_behind_a_handshake_that_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for tail in (b"\x81", frame(1, b"hi")):
            received = await exchange(service, HANDSHAKE.replace(b"/stream", b"/nothing") + b"\r\n" + tail)
            assert received.startswith(b"HTTP/1.1 404 Not Found\r\n")
            assert b"connection: close" in received


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"hi", first=0xC0), 1002),
        (frame(1, b"hi", first=0x90), 1002),
        (frame(3, b""), 1002),
        (frame(11, b""), 1002),
        (frame(9, b"x", first=0), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(0, b"x"), 1002),
        (frame(1, b"x", first=0) + frame(1, b"y"), 1002),
        (b"\x81\x02hi", 1002),
        (b"\x81\xff" + b"\xff" * 8 + b"abcd", 1002),
        (b"\x81\xfe\x00\x01abcdx", 1002),
        (frame(1, b"\xff\xfe"), 1007),
        (frame(1, b"\xc3"), 1007),
        (frame(8, b"x"), 1002),
        (frame(8, struct.pack("!H", 1005)), 1002),
        (frame(8, struct.pack("!H", 999)), 1002),
        (frame(8, struct.pack("!H", 1000) + b"\xff"), 1007),
        (frame(2, b"x" * 60_000, first=0) + frame(0, b"x" * 60_000, first=0), 1009),
    ],
)
async def test_what_is_no_frame_is_answered_with_a_close_frame(
    tmp_path: Path, data: bytes, code: int, warnings: list[str]
) -> None:
    async with serving(tmp_path) as service:
        assert (await closing_frame(service, data))[0] == code
        with trio.fail_after(WAIT):
            await service.stream_ended.wait()


async def test_an_empty_binary_message_is_an_empty_message(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        data = frame(2, b"") + frame(1, b"") + frame(8, struct.pack("!H", 1000))
        assert (await closing_frame(service, data))[0] == 1000


async def test_a_client_that_leaves_its_websocket_is_let_go_before_the_next_ping(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        received = await exchange(service, HANDSHAKE + b"\r\n")
        assert received.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("request_", "behind"),
    [
        (GET % (H2C % b"AAAA"), b""),
        (POST % (H2C % b"AAAA" + b"Transfer-Encoding: chunked\r\n"), b"3\r\nabc\r\n0\r\n\r\n"),
        (GET % b"", GET % b""),
        (GET % b"", b"x" * 100_000),
    ],
)
async def test_a_client_that_leaves_an_answer_without_end_is_let_go(
    request_: bytes, behind: bytes, tmp_path: Path
) -> None:
    target = request_.replace(b" / ", b" /endless ").replace(b" /read ", b" /endless ")
    async with serving(tmp_path) as service:
        client = await service.connect()
        async with client:
            await client.send_all(target + behind)
            assert b"200" in await until(client, b"begun\r\n")
            await client.send_all(behind[:10_000])
        with trio.fail_after(WAIT):
            await service.stream_ended.wait()


async def test_a_reset_at_any_point(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for data in (
            b"",
            b"G",
            GET % b"",
            POST % b"Content-Length: 9\r\n" + b"a",
            HANDSHAKE + b"\r\n" + frame(1, b"hi"),
        ):
            client = await service.connect()
            await client.send_all(data)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        assert (await exchange(service, GET % b"")).endswith(b"ok")


async def test_a_client_that_resets_with_requests_in_line_leaves_nothing_behind(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            client = await service.connect()
            await client.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" + GET % b"" + GET % b"")
            await client.receive_some(1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        for _ in range(WAIT * 20):
            if len(os.listdir("/proc/self/fd")) <= before:
                break
            await trio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("data", [GET % b"", HANDSHAKE + b"\r\n"])
@pytest.mark.parametrize("place", ["stream", "send", "group"])
async def test_a_fault_of_ours_ends_its_own_connection(
    tmp_path: Path, data: bytes, place: str, monkeypatch: pytest.MonkeyPatch, engine_errors: list[logging.LogRecord]
) -> None:
    """Wherever it is raised: where bytes are read, where the application sends, and in groups of groups."""
    fault = KeyError("secret\nline")

    async def broken(*_: object, **__: object) -> None:
        try:
            raise fault
        except KeyError:
            if place != "group":
                raise
            raise ExceptionGroup("outer", [ExceptionGroup("inner", [fault])]) from None

    async with serving(tmp_path) as service, await service.connect() as neighbour:
        with monkeypatch.context() as patch:
            for kind in (http1_protocol._Exchange, EventWebsocket):
                patch.setattr(kind, "app_send" if place == "send" else "handle", broken)
            received = await exchange(service, data)
        if place != "send":
            assert refusal(received) == (500, "An internal server error occurred")
        await neighbour.send_all(GET % b"")
        assert b"200 OK" in await neighbour.receive_some()
    (record,) = engine_errors
    line = record.getMessage()
    assert "KeyError: 'secret\\\\nline'" in line and "test_http1_protocol.py:" in line and "in broken" in line
    assert line.startswith("127.0.0.1:") and ": ended by " in line and "\n" not in line
    assert record.__dict__["request"] == "2.1"
    assert record.exc_info is None


async def test_an_application_that_crashes_with_a_body_on_its_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine_errors: list[logging.LogRecord]
) -> None:
    async with serving(tmp_path) as service:
        monkeypatch.setattr("quart_trio.app.QuartTrio.request_class", None)
        received = await exchange(service, POST % b"Content-Length: 3000000\r\n" + b"x" * 3_000_000, then_end=False)
        assert refusal(received)[0] == 500
    assert len(engine_errors) == 1


def allow_descriptors(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Pretend that the process has this many; the test's own have far higher numbers, which must not count here."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(connection_limit, "KEPT_FOR_FILES", -10_000)
    monkeypatch.setattr(connection_limit, "_open", lambda: 0)


async def test_too_many_connections_are_told_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_descriptors(monkeypatch, 4)
    async with serving(tmp_path, keep_alive=2) as service:
        async with await service.connect() as first, await service.connect() as second:
            for client in (first, second):
                await client.send_all(HANDSHAKE + b"\r\n")
                assert b" 101 " in await client.receive_some()
            received = await exchange(service, b"", then_end=False)
            assert refusal(received)[0] == 503 and b"retry-after: 5\r\n" in received
        with trio.fail_after(WAIT):
            while b" 503 " in await exchange(service, b"", then_end=False):
                pass  # the server has not seen yet that the two have left
        assert (await exchange(service, GET % b"")).endswith(b"ok")


def test_what_is_open_at_the_start_is_no_room_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_descriptors(monkeypatch, 64)
    assert connection_limit.ConnectionLimit().most == 32
    monkeypatch.setattr(connection_limit, "_open", lambda: 24)
    assert connection_limit.ConnectionLimit().most == 20
    monkeypatch.setattr(connection_limit, "_open", lambda: 80)
    assert connection_limit.ConnectionLimit().most == 0


async def test_a_burst_of_strangers_drives_no_kept_connection_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last descriptors are taken by those who are turned away; where others have them, the kept one gives way."""
    allow_descriptors(monkeypatch, 4)
    limit, kept = connection_limit.ConnectionLimit(), trio.CancelScope()
    limit.highest = 50
    with limit.one_more(10):
        limit.idle(kept)
        with limit.one_more(11), limit.one_more(50) as room:
            assert not room
            assert not kept.cancel_called
        with limit.one_more(50) as room:
            assert room
            assert kept.cancel_called


async def test_the_connection_that_is_idle_for_longest_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow_descriptors(monkeypatch, 6)
    async with (
        serving(tmp_path) as service,
        await service.connect() as mute,
        await service.connect() as busy,
        await service.connect() as used,
    ):
        await busy.send_all(POST % b"Content-Length: 3\r\nExpect: 100-continue\r\n")
        assert b" 100 " in await busy.receive_some()
        await used.send_all(GET % b"")
        assert (await until(used, b"ok")).startswith(b"HTTP/1.1 200 OK")
        assert (await exchange(service, GET % b"Connection: close\r\n", then_end=False)).endswith(b"ok")
        with trio.fail_after(WAIT):
            assert await mute.receive_some() == b""
        await used.send_all(GET % b"")
        assert (await until(used, b"ok")).startswith(b"HTTP/1.1 200 OK")
        await busy.send_all(b"abc")
        assert (await until(busy, b"\r\n\r\n3")).startswith(b"HTTP/1.1 200 OK")


def test_a_flood_is_counted_and_not_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    incidents = EdgeLog()
    for number in range(5000):
        Peer("198.51.100.1:5", number, incidents).refused(400, "no")
    assert len(caplog.records) == LINES
    incidents.next_window()
    assert caplog.records[-1].getMessage() == f"{5000 - LINES} more connections were refused within 60 s"
    Peer("198.51.100.1:5", 1, incidents).refused(400, "no")
    assert len(caplog.records) == LINES + 2
    incidents.next_window()
    assert len(caplog.records) == LINES + 2


def test_a_connection_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer("198.51.100.1:5", 16, EdgeLog())
    peer.requests = 3
    peer.refused(400, "a\r\nb\x1b[31m\u202e" + "x" * 1000)
    peer.refused(400, "again")
    (record,) = caplog.records
    assert record.getMessage().startswith("198.51.100.1:5: refused with 400: a\\r\\nb\\x1b[31m\\u202exxx")
    assert record.__dict__["request"] == "10.3"
    assert len(record.getMessage()) < 300


def test_text_from_outside_is_one_printable_line() -> None:
    every = "".join(map(chr, range(0x3000)))
    for start in range(0, len(every), 100):
        assert escaped(every[start : start + 100]).isprintable()


async def test_each_request_that_breaks_is_told_once_with_the_id_its_caller_gets(
    engine_errors: list[logging.LogRecord],
) -> None:
    peer = Peer("192.0.2.1:4711", 26, EdgeLog())
    serve_peer(peer)
    ids = []
    for peer.requests in (1, 2, 3):
        ids.append(request_broke(KeyError("x")))
        peer.broke(KeyError("and then"))
    assert ids == [{"X-Request-Id": "1a.1"}, {"X-Request-Id": "1a.2"}, {"X-Request-Id": "1a.3"}]
    told = [(record.getMessage(), record.__dict__["request"]) for record in engine_errors]
    assert told == [("192.0.2.1:4711: ended by KeyError: 'x'", f"1a.{number}") for number in (1, 2, 3)]
