"""What connections to mail servers share."""

from __future__ import annotations

import errno
import gc
import socket
import weakref

import pytest
import trio
import trustme

from engine.errors import NetworkError, NetworkKind
from engine.transport import CONTEXTS, TlsRules, Transport, client_context
from engine.world import World


def test_tls_contexts_do_not_pile_up() -> None:
    """Each distinct rule is 0.8 MB, and the rules come from API callers."""
    rules = [TlsRules(ca=trustme.CA().cert_pem.bytes().decode()) for _ in range(CONTEXTS + 8)]
    made = [weakref.ref(client_context(each)) for each in rules]
    gc.collect()
    assert sum(context() is not None for context in made) <= CONTEXTS


def test_accounts_that_differ_only_in_the_name_to_check_share_a_context() -> None:
    assert client_context(TlsRules(servername="a.example", required=True)) is client_context(TlsRules())


class Failing(trio.abc.Stream):
    """Reads and writes fail with `error`; None: nothing ever comes."""

    def __init__(self, error: OSError | None) -> None:
        self._error = error

    async def _fail(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._error is None:
            await trio.sleep_forever()
        raise trio.BrokenResourceError from self._error

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self._fail()
        raise AssertionError

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._fail()

    async def wait_send_all_might_not_block(self) -> None:
        await self._fail()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        (errno.ETIMEDOUT, "ETIMEDOUT", NetworkKind.TIMEOUT),
        (errno.EHOSTUNREACH, "EHOSTUNREACH", NetworkKind.CLOSED),
        (errno.ECONNRESET, "ECONNRESET", NetworkKind.CLOSED),
        (errno.EPIPE, "ECONNECTION", NetworkKind.CLOSED),
    ],
)
async def test_what_the_kernel_says_of_a_line_is_told(number: int, code: str, kind: NetworkKind) -> None:
    error = OSError(number, "x")
    transport = Transport(Failing(error), "mail.example.com", 993, TlsRules())
    for use in (transport.receive(10), transport.send(b"x", 10)):
        with pytest.raises(NetworkError) as caught:
            await use
        assert (caught.value.code, caught.value.kind) == (code, kind)
    with pytest.raises(NetworkError) as caught:
        await transport.start_tls(10)
    if kind is NetworkKind.TIMEOUT:
        assert (caught.value.code, caught.value.kind) == (code, kind)


@pytest.mark.parametrize("says", [b"", b"* OK"])
@pytest.mark.parametrize("tls", [False, True])
async def test_an_address_that_accepts_and_says_nothing_is_named(
    says: bytes, tls: bool, autojump_clock: trio.abc.Clock
) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]

    async def serve(stream: trio.SocketStream) -> None:
        if says:
            await stream.send_all(says)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        transport = await Transport.open(World().dial, "127.0.0.1", port, secure=False, tls=TlsRules(), timeout=30)
        if says:
            assert await transport.receive(30) == says
        with pytest.raises(NetworkError) as caught:
            await (transport.start_tls(30) if tls else transport.receive(30))
        assert caught.value.mute == (None if says else "127.0.0.1")
        await transport.close()
        nursery.cancel_scope.cancel()


async def test_a_line_that_waits_is_watched_by_the_kernel() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    stream = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
    transport = Transport(stream, "127.0.0.1", 1, TlsRules())
    transport.notice_silence()
    asks = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    again = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
    assert asks + 3 * again <= 55
    assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 50_000
    await transport.close()
    await listeners[0].aclose()
