"""One side speaks TLS where the other does not: which `secure` is right is said, before anybody's patience is up."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trustme

from engine import transport as module
from engine.errors import NetworkError, NetworkKind
from engine.transport import GREETING_SECONDS, PROBE_SECONDS, TlsRules, Transport
from engine.world import Choose, World

Serve = Callable[[trio.SocketStream], Awaitable[None]]
HOST = "127.0.0.1"
LIMIT = 30.0


class CountingWorld(World):
    """Counts dials."""

    dials = 0

    async def dial(self, host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
        self.dials += 1
        return await super().dial(host, port, choose)


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """A port where `serve` serves."""

    async def quietly(stream: trio.SocketStream) -> None:
        try:
            await serve(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, quietly, 0, host=HOST))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def tls_server(minimum: ssl.TLSVersion | None = None) -> Serve:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("mail.example.com").configure_cert(context)
    if minimum is not None:
        context.minimum_version = context.maximum_version = minimum

    async def serve(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        await secured.send_all(b"* OK hello\r\n")
        await trio.sleep_forever()

    return serve


def saying(data: bytes, after: float = 0.0) -> Serve:
    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep(after)
        await stream.send_all(data)
        await trio.sleep_forever()

    return serve


async def test_a_server_that_waits_for_tls() -> None:
    async with server(tls_server()) as port:
        began = trio.current_time()
        with pytest.raises(NetworkError, match="set secure to true") as caught:
            await Transport.open(World().dial, HOST, port, secure=False, tls=TlsRules(), timeout=LIMIT)
        assert (caught.value.kind, caught.value.code) == (NetworkKind.TLS, "ETLS")
        assert trio.current_time() - began < LIMIT
    assert GREETING_SECONDS + PROBE_SECONDS < 5


@pytest.mark.parametrize("data", [b"* OK ready\r\n", b"220 mail.example.com ESMTP\r\n", b"220\r\n"])
async def test_a_server_that_speaks_in_clear_where_tls_is_begun(data: bytes) -> None:
    async with server(saying(data)) as port:
        with pytest.raises(NetworkError, match="set secure to false") as caught:
            await Transport.open(World().dial, HOST, port, secure=True, tls=TlsRules(), timeout=LIMIT)
        assert (caught.value.kind, caught.value.code) == (NetworkKind.TLS, "ETLS")


async def test_a_server_that_greets_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GREETING_SECONDS", LIMIT)  # also on a machine that takes its time
    world = CountingWorld()
    async with server(saying(b"* OK ready\r\n")) as port:
        transport = await Transport.open(world.dial, HOST, port, secure=False, tls=TlsRules(), timeout=LIMIT)
        assert await transport.receive(LIMIT) == b"* OK ready\r\n"
        await transport.close()
    assert world.dials == 1


async def test_a_server_that_takes_its_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GREETING_SECONDS", 0.05)
    async with server(saying(b"220 ready\r\n", after=0.4)) as port:
        transport = await Transport.open(World().dial, HOST, port, secure=False, tls=TlsRules(), timeout=LIMIT)
        assert await transport.receive(LIMIT) == b"220 ready\r\n"
        await transport.close()


async def test_a_mute_server_is_left_to_the_time_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GREETING_SECONDS", 0.05)
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.1)
    async with server(saying(b"", after=LIMIT)) as port:
        transport = await Transport.open(World().dial, HOST, port, secure=False, tls=TlsRules(), timeout=LIMIT)
        with pytest.raises(NetworkError) as caught:
            await transport.receive(0.1)
        assert caught.value.kind is NetworkKind.TIMEOUT
        await transport.close()


async def test_a_server_that_hangs_up_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(lambda stream: stream.aclose()) as port:
        transport = await Transport.open(World().dial, HOST, port, secure=False, tls=TlsRules(), timeout=LIMIT)
        assert await transport.receive(LIMIT) == b""
        await transport.close()


@pytest.mark.parametrize("cancel_after", [0.01, 0.3])
async def test_cancelled_it_leaves_nothing_open(cancel_after: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GREETING_SECONDS", 0.05)
    ended = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal ended
        try:
            while await stream.receive_some():
                pass
        finally:
            ended += 1

    world = CountingWorld()
    async with server(serve) as port:
        with trio.move_on_after(cancel_after):
            await Transport.open(world.dial, HOST, port, secure=False, tls=TlsRules(), timeout=LIMIT)
        with trio.fail_after(LIMIT):
            while ended < world.dials:  # noqa: ASYNC110 - the other side is the kernel
                await trio.sleep(0.01)
