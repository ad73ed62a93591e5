"""Names are looked up in threads of the system's resolver; here it is a function that waits until it is told to end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

from engine import resolver
from engine.resolver import Resolver

AT_ONCE = 4


class Silent:
    """Stands for `socket.getaddrinfo`: names that begin with "silent" wait for `release`, others answer at once."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.release = threading.Event()
        self.error: Exception | None = None
        self.most = self._now = 0
        self._lock = threading.Lock()

    def getaddrinfo(self, host: bytes, *rest: Any) -> list[Any]:
        with self._lock:
            self.asked.append(host)
            self._now += 1
            self.most = max(self.most, self._now)
        if host.startswith(b"silent"):
            self.release.wait(10)
        with self._lock:
            self._now -= 1
        if self.error is not None:
            raise self.error
        return [host]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    silent = Silent()
    monkeypatch.setattr(socket, "getaddrinfo", silent.getaddrinfo)
    monkeypatch.setattr(resolver, "SLOW_SECONDS", 0.02)
    yield silent
    silent.release.set()


async def until(reached: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not reached():  # noqa: ASYNC110
            await trio.sleep(0.001)


async def test_silent_names_keep_no_other_waiting_and_are_bounded(system: Silent) -> None:
    looking = Resolver(AT_ONCE)
    async with trio.open_nursery() as nursery:
        for number in range(3 * AT_ONCE):
            nursery.start_soon(looking.getaddrinfo, b"silent-%d.example" % number, 25)
        await until(lambda: len(system.asked) == 2 * AT_ONCE)
        await trio.sleep(0.05)
        assert len(system.asked) == 2 * AT_ONCE
        system.release.set()
    assert len(system.asked) == 3 * AT_ONCE
    known_as_slow = system.asked[: 2 * AT_ONCE]  # tasks start in any order, and those begun last were quick
    system.release.clear()
    system.asked.clear()
    async with trio.open_nursery() as nursery:
        for name in known_as_slow:
            nursery.start_soon(looking.getaddrinfo, name, 25)
        await until(lambda: len(system.asked) >= AT_ONCE)
        with trio.fail_after(60):
            for number in range(20):
                assert await looking.getaddrinfo(b"good-%d.example" % number, 25) == [b"good-%d.example" % number]
        system.release.set()


async def test_a_name_is_looked_up_once_for_all_who_ask(system: Silent) -> None:
    looking = Resolver(AT_ONCE)
    answers = []

    async def ask() -> None:
        answers.append(await looking.getaddrinfo(b"silent.example", 25))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
        await until(lambda: bool(system.asked))
        with trio.move_on_after(0.01):  # who leaves ends it for nobody else
            await ask()
        system.release.set()
    assert answers == [[b"silent.example"]] * 50
    assert system.asked == [b"silent.example"]
    await ask()
    assert len(system.asked) == 2


async def test_each_caller_has_an_error_of_its_own(system: Silent) -> None:
    looking = Resolver(AT_ONCE)
    system.error = socket.gaierror(socket.EAI_AGAIN, "later")
    caught: list[socket.gaierror] = []

    async def ask() -> None:
        with pytest.raises(socket.gaierror) as failed:
            await looking.getaddrinfo(b"silent.example", 25)
        caught.append(failed.value)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        system.release.set()
    assert {each.errno for each in caught} == {socket.EAI_AGAIN}
    assert len({id(each) for each in caught}) == 3


async def test_who_is_cancelled_before_its_turn_asks_nothing(system: Silent) -> None:
    looking = Resolver(1)
    async with trio.open_nursery() as nursery:
        for number in range(2):
            nursery.start_soon(looking.getaddrinfo, b"silent-%d.example" % number, 25)
        await until(lambda: len(system.asked) == 2)
        with trio.move_on_after(0.05):
            await looking.getaddrinfo(b"silent-2.example", 25)
        system.release.set()
    assert await looking.getaddrinfo(b"good.example", 25) == [b"good.example"]
    assert b"silent-2.example" not in system.asked
