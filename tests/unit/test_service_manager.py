"""What a service manager hears, on a real socket."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from engine import service_manager
from engine.service_manager import ServiceManager


class Heard:
    """A manager's socket at `address`; `next` is what came next."""

    def __init__(self, address: str) -> None:
        self._socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM)
        self._address = address

    async def listen(self) -> None:
        await self._socket.bind(self._address)

    async def next(self) -> list[str]:
        return (await self._socket.recv(4096)).decode().split("\n")

    def silent(self) -> bool:
        return not self._socket.is_readable()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """NOTIFY_SOCKET and the address that it means."""
    if request.param == "file":
        return (str(tmp_path / "notify"),) * 2
    name = f"mailbox-engine-test-{os.getpid()}"
    return f"@{name}", f"\0{name}"


@pytest.fixture
async def heard(place: tuple[str, str]) -> AsyncIterator[Heard]:
    manager = Heard(place[1])
    await manager.listen()
    yield manager
    manager.close()


async def test_what_it_hears(place: tuple[str, str], heard: Heard) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": place[0]})
    await manager.ready("listens on http://127.0.0.1:3000")
    await manager.reloading()
    await manager.stopping()
    assert await heard.next() == ["READY=1", "STATUS=listens on http://127.0.0.1:3000"]
    reloading, when = await heard.next()
    assert reloading == "RELOADING=1"
    assert when.startswith("MONOTONIC_USEC=") and int(when.partition("=")[2]) > 0
    assert "STOPPING=1" in await heard.next()


async def test_a_sign_of_life_twice_in_its_patience_unless_the_store_is_stalled(
    place: tuple[str, str], heard: Heard, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stalled = 0.0
    manager = ServiceManager({"NOTIFY_SOCKET": place[0], "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})
    nursery.start_soon(manager.keep_alive, lambda: stalled)
    began = trio.current_time()
    for times in range(3):
        assert await heard.next() == ["WATCHDOG=1"]
        assert trio.current_time() - began == pytest.approx(times * 10)
    stalled = 10.0
    await trio.sleep(100)
    assert heard.silent()
    stalled = 9.9
    assert await heard.next() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "20000000"},
        {"NOTIFY_SOCKET": "/run/notify"},
        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"},
    ],
)
async def test_no_sign_of_life_where_nothing_waits_for_one(environ: dict[str, str]) -> None:
    manager = ServiceManager(environ)
    assert manager.watchdog_seconds is None
    await manager.keep_alive(lambda: 0.0)


async def test_nothing_is_sent_without_a_socket(caplog: pytest.LogCaptureFixture) -> None:
    await ServiceManager({}).ready("")
    assert not caplog.records
    await ServiceManager({"NOTIFY_SOCKET": "vsock:2:1234"}).ready("")
    assert "neither a path nor an abstract socket" in caplog.text


async def test_a_manager_that_is_gone_or_does_not_read_costs_one_line(
    place: tuple[str, str], caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    caplog.set_level(logging.WARNING)
    gone = ServiceManager({"NOTIFY_SOCKET": place[0]})
    await gone.ready("")
    await gone.stopping()
    assert [record.message.partition(": ")[0] for record in caplog.records] == [
        "the service manager at NOTIFY_SOCKET cannot be reached"
    ]
    caplog.clear()
    heard = Heard(place[1])
    await heard.listen()
    deaf = ServiceManager({"NOTIFY_SOCKET": place[0]})
    for _ in range(2000):
        await deaf.ready("")
        if caplog.records:
            break
    heard.close()
    assert "it does not read" in caplog.text
    assert trio.current_time() < service_manager.SEND_SECONDS + 1
