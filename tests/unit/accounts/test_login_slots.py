from __future__ import annotations

import random
from typing import Any

import pytest
import trio
import trio.testing

from engine.accounts import login_slots as slots_module
from engine.accounts.login_slots import LEASE, SHORTEST_LEASE, LoginSlots
from engine.errors import EngineError, LoginRefused, NetworkError, NetworkKind

HOST, OTHER = ("imap.example.com", 993), ("imap.example.org", 993)
TOO_MANY = LoginRefused("A1 NO [ALERT] Too many simultaneous connections", "ALERT", temporary=True)
HUNG_UP = NetworkError(NetworkKind.CLOSED, "ECONNECTION", "The server closed the connection: too many")
WRONG = LoginRefused("A1 NO no", None)


async def log_in(
    slots: LoginSlots, seconds: float, begun: list[float], at: tuple[str, int] = HOST, error: EngineError | None = None
) -> None:
    try:
        async with slots.at(*at):
            begun.append(trio.current_time())
            await trio.sleep(seconds)
            if error is not None:
                raise error
    except EngineError:
        pass


async def test_no_more_at_once_than_there_are_slots(autojump_clock):
    slots = LoginSlots(3)
    begun: list[Any] = []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(log_in, slots, 1.0, begun)
    assert [round(each - start) for each in begun] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


async def test_servers_do_not_wait_for_each_other(autojump_clock):
    slots = LoginSlots(2)
    begun: list[Any] = []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(log_in, slots, 600.0, [])
        await trio.testing.wait_all_tasks_blocked()
        for at in (OTHER, (HOST[0], 143)):
            nursery.start_soon(log_in, slots, 1.0, begun, at)
        await trio.testing.wait_all_tasks_blocked()
        assert begun == [start, start]
        nursery.cancel_scope.cancel()


async def test_many_silent_servers_keep_nobody_waiting(autojump_clock):
    slots = LoginSlots(2)
    begun: list[Any] = []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(400):
            nursery.start_soon(log_in, slots, 600.0, [], (f"{number}.example.com", 993))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(log_in, slots, 0.01, begun)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert begun == [start]


async def test_those_who_hang_do_not_keep_the_others_waiting(autojump_clock):
    slots = LoginSlots(2)
    begun: list[Any] = []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(log_in, slots, 600.0, [])
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(6):
            nursery.start_soon(log_in, slots, 0.5, begun)
    assert begun[0] - start == pytest.approx(LEASE)
    assert begun[-1] - start == pytest.approx(LEASE + 1.0)


async def test_where_logins_are_quick_those_who_hang_lose_their_slots_sooner(autojump_clock):
    slots = LoginSlots(2)
    begun: list[Any] = []
    await log_in(slots, 0.01, [])
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(log_in, slots, 600.0, [])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(log_in, slots, 0.01, begun)
    assert begun[0] - start == pytest.approx(5 * SHORTEST_LEASE)


async def test_who_gives_up_waiting_takes_nothing(autojump_clock):
    slots = LoginSlots(1)
    begun: list[Any] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log_in, slots, 2.0, [])
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await log_in(slots, 1.0, begun)
        assert begun == []
    await log_in(slots, 1.0, begun)
    assert len(begun) == 1


@pytest.mark.parametrize(("error", "at_once"), [(TOO_MANY, 2), (HUNG_UP, 2), (WRONG, 4)])
async def test_a_server_that_says_later_is_given_fewer_at_once(error, at_once, autojump_clock):
    slots = LoginSlots(4)
    begun: list[Any] = []
    await log_in(slots, 1.0, [], error=error)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(log_in, slots, 1.0, begun)
    assert begun.count(start) == at_once
    assert begun.count(max(begun)) <= 4


async def test_it_is_never_given_none_and_all_again_after_logins_that_work(autojump_clock):
    slots = LoginSlots(4)
    begun: list[Any] = []
    for _ in range(9):
        await log_in(slots, 0.1, [], error=TOO_MANY)
    for _ in range(3):
        await log_in(slots, 0.1, [])
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(log_in, slots, 0.1, begun)
    assert begun.count(start) == 4


async def test_servers_long_gone_are_forgotten(autojump_clock, monkeypatch):
    monkeypatch.setattr(slots_module, "KEPT", 3)
    slots = LoginSlots(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log_in, slots, 50.0, [])
        await trio.testing.wait_all_tasks_blocked()
        for number in range(10):
            await log_in(slots, 0.1, [], (f"{number}.example.com", 993))
        assert set(slots._servers) == {
            (*HOST, None),
            ("8.example.com", 993, None),
            ("9.example.com", 993, None),
        }


@pytest.mark.once
@pytest.mark.parametrize(("usual", "last"), [(0.02, 5.0), (0.1, 10.0), (0.3, 30.0)])
async def test_a_start_with_a_thousand_accounts_of_which_many_hang(usual, last, autojump_clock):
    slots = LoginSlots(20)
    begun: list[Any] = []
    hanging = [True] * 400 + [False] * 600
    random.Random(4711).shuffle(hanging)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for hangs in hanging:
            nursery.start_soon(log_in, slots, 600.0 if hangs else usual, [] if hangs else begun)
        await trio.sleep(500)
        nursery.cancel_scope.cancel()
    assert len(begun) == 600
    assert max(begun) - start < last
