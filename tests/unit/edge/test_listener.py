"""Accepting where descriptors run out, and what connections inherit from the socket that listens."""

from __future__ import annotations

import logging
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from http_service import WAIT, Service, serving

from engine import config
from engine.edge import connection_limit
from engine.edge.connection_limit import KEPT_SHARE
from engine.edge.listener import listen
from engine.edge.spare_descriptors import SPARE

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def no_descriptor_left() -> Iterator[Callable[[], None]]:
    """Inside, no descriptor is free; what it yields takes each that becomes free."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    filled: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 50, limits[1]))

    def take_all() -> None:
        with suppress(OSError):
            while True:
                filled.append(os.dup(0))

    try:
        take_all()
        yield take_all
    finally:
        for each in filled:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def get(service: Service, sock: trio.socket.SocketType) -> bytes:
    parts = urlsplit(service.url)
    await sock.connect((parts.hostname, parts.port))
    await sock.send(GET)
    received = b""
    while not received.endswith(b"ok") and (chunk := await sock.recv(1000)):
        received += chunk
    return received


async def test_with_no_descriptor_left_requests_are_still_answered(
    tmp_path: Path, engine_errors: list[logging.LogRecord], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as service:
        with trio.socket.socket() as sock:
            await get(service, sock)  # the first request imports what it needs
        # All stay open: the first take the spare descriptors, the others those of the ones before them.
        clients = [trio.socket.socket() for _ in range(2 * SPARE)]
        with no_descriptor_left() as take_all, trio.fail_after(WAIT):
            async with trio.open_nursery() as nursery:

                async def want_as_well() -> None:
                    while True:
                        take_all()
                        await trio.lowlevel.checkpoint()

                nursery.start_soon(want_as_well)
                for sock in clients:
                    assert b" 200 OK" in await get(service, sock)
                assert await clients[0].recv(1000) == b""
                nursery.cancel_scope.cancel()
        for sock in clients:
            sock.close()
        with trio.fail_after(WAIT), trio.socket.socket() as sock:
            assert b" 200 OK" in await get(service, sock)
    (line,) = engine_errors
    assert line.getMessage() == "no file descriptor is left for a connection (Too many open files)"
    assert line.exc_info is None
    assert not [record for record in caplog.records if record.name.startswith("trio")]


async def test_the_last_descriptors_are_left_to_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are kept idle give way before they take the descriptors of the store and the spool."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Tests before this one may have left hundreds in use, with gaps between them; the 150 after those are all.
    highest = max(map(int, os.listdir("/proc/self/fd")))
    taken = [os.dup(0)]
    while taken[-1] < highest:
        taken.append(os.dup(0))
    limit = taken[-1] + 150
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    kept = 150 // KEPT_SHARE
    monkeypatch.setattr(connection_limit, "KEPT_FOR_FILES", kept)
    clients: list[trio.socket.SocketType] = []
    try:
        async with serving(tmp_path) as service:
            clients = [trio.socket.socket() for _ in range(4 * kept)]
            while (number := os.dup(0)) < limit - 3 * kept:
                taken.append(number)
            os.close(number)
            with trio.fail_after(WAIT):
                for sock in clients:
                    assert b" 200 OK" in await get(service, sock)
                assert await clients[0].recv(1000) == b""
            free = []
            with suppress(OSError):
                while True:
                    free.append(os.dup(0))
            taken += free
            assert len(free) >= kept - 1
    finally:
        for sock in clients:
            sock.close()
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    ("write_timeout", "unacknowledged"), [(50, 55_000), (5, 10_000), (300, 305_000), (0, 55_000), (1e9, 2**31 - 1)]
)
async def test_the_kernel_notices_a_client_that_vanished(write_timeout: float, unacknowledged: int) -> None:
    async with listen(config.Http(port=0, write_timeout=write_timeout)) as listener:
        with trio.socket.socket() as client:
            await client.connect(listener.socket.getsockname())
            async with await listener.accept() as accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                idle, interval, most, user = (
                    accepted.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (
                        socket.TCP_KEEPIDLE,
                        socket.TCP_KEEPINTVL,
                        socket.TCP_KEEPCNT,
                        socket.TCP_USER_TIMEOUT,
                    )
                )
                assert isinstance(idle, int) and idle + interval * most <= 55
                assert user == unacknowledged
