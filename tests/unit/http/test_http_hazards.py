"""What hangs or lies in a plain HTTP stack, over a real loopback socket."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from http_service import LIMIT, WAIT, serving
from quart_trio import QuartTrio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import config
from engine.edge.paced_stream import _unacknowledged
from engine.errors import ConfigError
from engine.http.server import serve_http

SEEN = 0.01
"""Seconds of real time in which nothing happens any more once the server has read what was sent.

Where a test shows that something takes long and is not cut, the clock stands still but for what the test says: a busy
machine, on which nothing runs for a second, is no slow client.
"""


async def answer(stream: trio.SocketStream) -> tuple[int, dict[str, str], bytes]:
    data = b""
    with trio.fail_after(WAIT):
        while b"\r\n\r\n" not in data:
            chunk = await stream.receive_some()
            assert chunk, data
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(headers["content-length"]):
            body += await stream.receive_some()
    return int(status.split()[1]), headers, body


async def test_a_client_that_stops_reading_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        client = await service.connect()
        await client.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.receive_some(1000)
        service.stop.set()
        with trio.fail_after(WAIT):
            await service.returned.wait()
        await client.aclose()


async def test_a_client_that_stops_reading_is_cut_after_the_write_timeout(tmp_path: Path) -> None:
    async with serving(tmp_path, write_timeout=0.2) as service:
        await service.add(1)
        client = await service.connect()
        await client.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.receive_some(1000)
        received = 0
        # Reading again only once the server must have given up: what it had not sent by then never comes.
        await trio.sleep(1)
        with trio.fail_after(WAIT):
            try:
                while chunk := await client.receive_some(1 << 20):
                    received += len(chunk)
            except trio.BrokenResourceError:
                pass
        assert received < 50_000_000
        await client.aclose()


async def test_a_client_that_reads_slowly_gets_all_of_it(tmp_path: Path, mock_clock: MockClock) -> None:
    async with serving(tmp_path, write_timeout=1) as service, await service.connect() as client:
        await client.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        # It has said all it has to say, which is no reason to hurry it.
        await client.send_eof()
        received, begun = 0, trio.current_time()
        while chunk := await client.receive_some(1 << 20):
            received += len(chunk)
            mock_clock.jump(len(chunk) / 20e6)
            await wait_all_tasks_blocked()
        assert received > 50_000_000
        assert trio.current_time() - begun > 2


async def test_what_the_client_reads_is_seen_before_the_kernel_takes_more() -> None:
    with trio.socket.socket() as listening, trio.socket.socket() as client:
        await listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        await client.connect(listening.getsockname())
        server, _ = await listening.accept()
        with server, trio.fail_after(WAIT):
            with trio.move_on_after(0.1):
                while True:
                    await server.send(b"x" * 100_000)
            queued = _unacknowledged(server)
            assert queued > 0
            while _unacknowledged(server) == queued:
                await client.recv(50_000)
            assert _unacknowledged(server) < queued
        with pytest.raises(trio.ClosedResourceError):
            _unacknowledged(server)


async def test_a_client_that_reads_too_slowly_is_cut(tmp_path: Path) -> None:
    async with serving(tmp_path, write_timeout=0.2, slowest=200_000_000) as service, await service.connect() as client:
        await client.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        received, begun = 0, trio.current_time()
        try:
            while chunk := await client.receive_some(1 << 20):
                received += len(chunk)
                await trio.sleep(max(0, begun + received / 20e6 - trio.current_time()))
        except trio.BrokenResourceError:
            pass
        assert received < 50_000_000


@pytest.mark.parametrize("request_head", [b"GET /", b"HEAD /large", b"POST /read", b"GET /none"])
async def test_a_connection_that_is_idle_after_a_response_is_closed(tmp_path: Path, request_head: bytes) -> None:
    async with serving(tmp_path, keep_alive=0.1) as service, await service.connect() as client:
        await client.send_all(request_head + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        received = b""
        with trio.fail_after(WAIT):
            while chunk := await client.receive_some():
                received += chunk
        assert received.startswith(b"HTTP/1.1 ") and b"connection: close" not in received


async def test_the_time_for_a_head_begins_with_it(tmp_path: Path, mock_clock: MockClock) -> None:
    async with serving(tmp_path, keep_alive=1) as service, await service.connect() as client:
        await wait_all_tasks_blocked(SEEN)
        mock_clock.jump(0.7)
        await client.send_all(b"GET / HTTP/1.1\r\n")
        await wait_all_tasks_blocked(SEEN)
        mock_clock.jump(0.7)
        await client.send_all(b"Host: x\r\n\r\n")
        assert (await answer(client))[0] == 200


async def test_connections_are_kept(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        client = await service.connect()
        for _ in range(3):
            await client.send_all(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            status, headers, body = await answer(client)
            assert (status, body) == (200, b"3")
            assert "connection" not in headers and "server" not in headers
            await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await answer(client))[2] == b"ok"
        await client.aclose()


async def test_an_early_answer_arrives_and_closes(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for _ in range(20):
            client = await service.connect()
            head = b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
            with trio.fail_after(WAIT):
                await client.send_all(head + b"x" * 500_000)
                status, headers, _ = await answer(client)
                assert (status, headers["connection"]) == (401, "close")
                assert await client.receive_some() == b""
            await client.aclose()
        client = await service.connect()
        await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await answer(client))[0] == 200
        await client.aclose()


async def told(client: trio.SocketStream, method: bytes, rest: bytes) -> bytes:
    """What a client that waits for `100 Continue` reads first."""
    await client.send_all(b"%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s\r\n" % (method, rest))
    with trio.fail_after(WAIT):
        return bytes(await client.receive_some(65536)).partition(b"\r\n")[0]


async def test_a_body_is_asked_for_only_where_it_is_read(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        client = await service.connect()
        assert await told(client, b"POST /read", b"Content-Length: 5\r\n") == b"HTTP/1.1 100 Continue"
        await client.send_all(b"hello")
        assert (await answer(client))[0] == 200
        # The same connection stays usable, and a request without a body is answered at once.
        assert await told(client, b"GET /", b"") == b"HTTP/1.1 200 OK"
        await client.aclose()
        for method, rest, said in (
            (b"POST /refuse", b"Content-Length: 5\r\n", b"HTTP/1.1 401 "),
            (b"POST /nowhere", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 404 "),
            (b"POST /read", b"Content-Length: %d\r\n" % (LIMIT + 1), b"HTTP/1.1 413 "),
        ):
            client = await service.connect()
            assert (await told(client, method, rest)).startswith(said)
            await client.aclose()


@pytest.mark.parametrize("line", [b"POST /nowhere", b"POST /", b"OPTIONS /", b"POST /refuse"])
async def test_an_answer_before_the_body_is_the_last(tmp_path: Path, line: bytes) -> None:
    async with serving(tmp_path) as service:
        async with await service.connect() as client:
            await client.send_all(line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
            with trio.fail_after(WAIT):
                received = b"".join([chunk async for chunk in client])
        assert b"connection: close\r\n" in received.lower()


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_the_limit_is_refused(tmp_path: Path, chunked: bool) -> None:
    async with serving(tmp_path) as service:
        client = await service.connect()
        if chunked:
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            data = b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 4
        else:
            data = b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000
        await client.send_all(b"POST /read HTTP/1.1\r\nHost: x\r\n" + data)
        status, headers, body = await answer(client)
        assert status == 413
        assert body.decode() == f"Payload content length greater than maximum allowed: {LIMIT}"
        assert headers["connection"] == "close"
        await client.aclose()


async def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, body_timeout=0.05) as service:
        client = await service.connect()
        await client.send_all(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
        assert (await answer(client))[0] == 408
        await client.aclose()


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_that_comes_slowly_is_taken(tmp_path: Path, chunked: bool, mock_clock: MockClock) -> None:
    async with serving(tmp_path, body_timeout=0.8) as service, await service.connect() as client:
        head = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: 20\r\n"
        await client.send_all(b"POST /read HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
        for _ in range(20):
            await client.send_all(b"1\r\na\r\n" if chunked else b"a")
            await wait_all_tasks_blocked(SEEN)
            mock_clock.jump(0.06)
        await client.send_all(b"0\r\n\r\n" if chunked else b"")
        assert (await answer(client))[::2] == (200, b"20")


async def test_a_body_that_comes_byte_by_byte_does_not_go_on_for_ever(tmp_path: Path) -> None:
    async with serving(tmp_path, body_timeout=0.3) as service, await service.connect() as client:
        service.bodies.slowest = 1000
        await client.send_all(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n")

        async def trickle() -> None:
            while True:
                await client.send_all(b"a")
                await trio.sleep(0.03)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            assert (await answer(client))[0] == 408
            nursery.cancel_scope.cancel()


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        port = urlsplit(service.url).port
        with pytest.raises(ConfigError, match=f"http.port {port} on 127.0.0.1 is in use by another program"):
            await serve_http(QuartTrio("other"), config.Http(port=port), stop=trio.Event())


async def test_a_port_that_only_root_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ConfigError, match=r"http\.port 80 may not be listened on by user .*: take one from 1?\d+ on"):
        await serve_http(QuartTrio("other"), config.Http(port=80), stop=trio.Event())
