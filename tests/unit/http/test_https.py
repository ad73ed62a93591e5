"""HTTPS over a real loopback socket: what is spoken there, who is turned away, and what a renewed certificate does."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
import trustme
from http_service import WAIT, Service, serving
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import wrap_client_stream

from engine.edge.certificate import Certificate
from engine.edge.connection_limit import ConnectionLimit
from engine.world import World

AUTHORITY = trustme.CA()
LEAVES = [AUTHORITY.issue_cert("127.0.0.1"), AUTHORITY.issue_cert("127.0.0.1", common_name="renewed")]
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
GARBAGE = (b"\x00" * 99, b"\x16\x03\x01", b"\x16" + b"x" * 999, b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x00\x02", b"")
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def certificate(folder: Path, number: int = 0) -> Certificate:
    """That with this number, in the files of all."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    key.write_bytes(LEAVES[number].private_key_pem.bytes())
    cert.write_bytes(LEAVES[number].cert_chain_pems[0].bytes())
    return Certificate("http", "the API", str(cert), str(key), World())


@asynccontextmanager
async def https(folder: Path, **settings: float) -> AsyncIterator[Service]:
    async with serving(folder / "data", certificate(folder), **settings) as service:
        assert service.url.startswith("https://127.0.0.1:")
        yield service


@asynccontextmanager
async def secured(
    service: Service, context: ssl.SSLContext | None = None
) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
    async with await service.connect() as plain:
        stream = trio.SSLStream(plain, context or trust(), server_hostname="127.0.0.1")
        with trio.fail_after(WAIT):
            await stream.do_handshake()
        yield stream


async def read(stream: trio.abc.ReceiveStream, until: bytes = b"") -> bytes:
    """What comes, until it ends so; else until the end of the connection."""
    received = bytearray()
    with trio.fail_after(WAIT):
        while not (until and received.endswith(until)) and (chunk := await stream.receive_some(1 << 20)):
            received += chunk
    return bytes(received)


async def test_requests_one_after_another_and_a_clean_end(tmp_path: Path) -> None:
    async with https(tmp_path) as service, secured(service) as stream:
        for _ in range(3):
            await stream.send_all(GET)
            answer = await read(stream, b"ok")
            assert answer.startswith(b"HTTP/1.1 200 ") and b"strict-transport-security: max-age=31536000" in answer
        await stream.send_all(CLOSE)
        # To its end, which only a close_notify is: an end without raises.
        assert (await read(stream)).endswith(b"\r\n\r\nok")


async def test_a_large_answer_and_one_that_ends_early(tmp_path: Path) -> None:
    async with https(tmp_path) as service:
        async with secured(service) as stream:
            await stream.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert len(await read(stream)) > 50_000_000
        async with secured(service) as stream:
            # The answer comes before the body is read, and must not be lost when the server closes.
            await stream.send_all(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 9_999)
            assert (await read(stream)).startswith(b"HTTP/1.1 401 ")


async def test_a_client_that_stops_reading_is_cut(tmp_path: Path) -> None:
    async with https(tmp_path, write_timeout=0.2) as service, secured(service) as stream:
        await stream.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.receive_some(1000)
        # Reading again only once the server must have given up: what it had not sent by then never comes.
        await trio.sleep(1)
        received = 0
        with trio.fail_after(WAIT):
            try:
                while chunk := await stream.receive_some(1 << 20):
                    received += len(chunk)
            except trio.BrokenResourceError:
                pass
        assert received < 50_000_000


async def test_websockets(tmp_path: Path) -> None:
    async with https(tmp_path) as service, secured(service) as stream, trio.open_nursery() as nursery:
        await service.add(3)
        client = await wrap_client_stream(nursery, stream, "x", "/stream?after=0")
        with trio.fail_after(WAIT):
            for number in (1, 2, 3):
                assert f'"seq":{number}' in await client.get_message()
        nursery.cancel_scope.cancel()


async def test_http_is_told_to_come_with_tls_and_garbage_is_not_answered(
    tmp_path: Path, engine_errors: list[logging.LogRecord]
) -> None:
    async with https(tmp_path) as service, secured(service) as held:
        for said in (GET, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000):
            async with await service.connect() as stream:
                await stream.send_all(said)
                answer = await read(stream, b"}\n")
                assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"This port speaks only HTTPS" in answer
        for said in GARBAGE:
            async with await service.connect() as stream:
                answer = b""
                with trio.fail_after(WAIT), suppress(trio.BrokenResourceError):  # it may be closed before all is said
                    await stream.send_all(said)
                    await stream.send_eof()
                    answer = await stream.receive_some(1000)
                assert not answer or answer[0] == 0x15, "an alert of TLS, or nothing"
        await held.send_all(GET)
        assert (await read(held, b"ok")).startswith(b"HTTP/1.1 200 ")
    assert not engine_errors


async def test_a_slow_handshake_is_ended_and_delays_nobody(tmp_path: Path, mock_clock: MockClock) -> None:
    async with https(tmp_path) as service, await service.connect() as silent, await service.connect() as slow:
        await slow.send_all(b"\x16\x03\x01\x02\x00")
        async with secured(service) as held:
            await held.send_all(GET)
            await read(held, b"ok")
            mock_clock.jump(9.5)
            await wait_all_tasks_blocked(0.01)
            for stream in (silent, slow):
                with trio.move_on_after(0) as waiting:
                    await stream.receive_some(1)
                assert waiting.cancelled_caught, "it still has its time"
            mock_clock.jump(1)
            for stream in (silent, slow):
                with trio.fail_after(WAIT):
                    assert await stream.receive_some(1) == b""
            await held.send_all(GET)
            assert (await read(held, b"ok")).startswith(b"HTTP/1.1 200 ")


async def test_a_client_in_its_handshake_gives_way_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    async with https(tmp_path) as service:
        monkeypatch.setattr(ConnectionLimit, "one_more", one_at_a_time(ConnectionLimit.one_more))
        async with await service.connect() as silent:
            await wait_all_tasks_blocked(0.01)
            async with secured(service) as stream:
                assert await silent.receive_some(1) == b""
                await stream.send_all(GET)
                assert (await read(stream, b"ok")).startswith(b"HTTP/1.1 200 ")
                async with await service.connect() as third:
                    # It finds no room, and without a handshake it would not understand why.
                    assert await third.receive_some(1) == b""


def one_at_a_time(
    one_more: Callable[[ConnectionLimit, int], AbstractContextManager[bool]],
) -> Callable[[ConnectionLimit, int], AbstractContextManager[bool]]:
    def limited(crowd: ConnectionLimit, descriptor: int) -> AbstractContextManager[bool]:
        crowd.most = 1
        return one_more(crowd, descriptor)

    return limited


async def test_old_versions_are_refused(tmp_path: Path) -> None:
    async with https(tmp_path) as service:
        old, current = trust(), trust()
        with pytest.warns(DeprecationWarning):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(trio.BrokenResourceError):
            async with secured(service, old):
                pass
        current.maximum_version = ssl.TLSVersion.TLSv1_2
        async with secured(service, current) as stream:
            await stream.send_all(CLOSE)
            assert (await read(stream)).endswith(b"ok")


async def test_a_renewed_certificate_is_shown_to_new_connections_and_ends_none(tmp_path: Path) -> None:
    async with https(tmp_path) as service, secured(service) as before:
        certificate(tmp_path, 1)
        async with secured(service) as after:
            shown = [b"renewed" in stream.getpeercert(binary_form=True) for stream in (before, after)]
            assert shown == [False, True]
            for stream in (before, after):
                await stream.send_all(GET)
                assert (await read(stream, b"ok")).startswith(b"HTTP/1.1 200 ")
