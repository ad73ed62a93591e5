"""The signal that a host answers again: whom a dial wakes, and whom it does not."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from engine.errors import NetworkError, NetworkKind
from engine.silent_hosts import MUTE_SECONDS, OTHER_PORTS_SECONDS, Hosts


async def ends_at(hosts: Hosts, port: int, ended: dict[int, float]) -> None:
    await hosts.wait("mail.example.com", port, 1000)
    ended[port] = trio.current_time()


async def test_a_wait_ends_when_the_silent_host_answers(autojump_clock: trio.abc.Clock) -> None:
    hosts = Hosts()
    ended: dict[Any, Any] = {}
    hosts.silent("mail.example.com", 993)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ends_at, hosts, 993, ended)
        await trio.sleep(7)
        hosts.answered("elsewhere.example.com", 993)
        await trio.sleep(1)
        hosts.answered("Mail.Example.com", 993)
    assert ended[993] - began == pytest.approx(8)


async def test_a_host_that_was_not_silent_wakes_nobody(autojump_clock: trio.abc.Clock) -> None:
    hosts = Hosts()
    hosts.silent("mail.example.com", 993)
    hosts.answered("mail.example.com", 993)
    async with trio.open_nursery() as nursery:

        async def others() -> None:
            for _ in range(20):
                await trio.sleep(1)
                hosts.answered("mail.example.com", 993)

        nursery.start_soon(others)
        assert not await hosts.wait("mail.example.com", 993, 30)


async def test_a_shut_port_is_not_woken_by_each_dial_of_another(autojump_clock: trio.abc.Clock) -> None:
    hosts, woken = Hosts(), []
    hosts.silent("mail.example.com", 587)

    def wake() -> None:
        woken.append(trio.current_time())
        hosts.silent("mail.example.com", 587)

    with hosts.listening("mail.example.com", 587, wake):
        for _ in range(100):
            hosts.answered("mail.example.com", 993)
            await trio.sleep(OTHER_PORTS_SECONDS / 10)
    assert len(woken) == 10


@pytest.mark.parametrize(
    ("error", "wakes"),
    [
        (NetworkError(NetworkKind.DNS, "EAI_AGAIN", "x"), True),
        (NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "x"), True),
        (NetworkError(NetworkKind.CONNECT, "EHOSTUNREACH", "x"), True),
        (NetworkError(NetworkKind.CONNECT, "EMFILE", "x"), False),
        (NetworkError(NetworkKind.CONNECT, "EACCES", "x"), False),
        (None, True),
    ],
)
async def test_dials_report_how_they_ended(
    error: NetworkError | None, wakes: bool, autojump_clock: trio.abc.Clock
) -> None:
    hosts, woken = Hosts(), []
    ours, theirs = trio.testing.memory_stream_pair()
    failing = True

    async def dial(host: str, port: int) -> trio.abc.Stream:
        if not failing:
            return ours
        if error is not None:
            raise error
        await trio.sleep_forever()
        raise AssertionError

    watched = hosts.watched(dial)
    with hosts.listening("mail.example.com", 993, lambda: woken.append(True)):
        with trio.move_on_after(30):
            if error is None:
                await watched("mail.example.com", 993)
            else:
                with pytest.raises(NetworkError):
                    await watched("mail.example.com", 993)
        failing = False
        await watched("mail.example.com", 993)
    assert woken == ([True] if wakes else [])
    await theirs.aclose()


async def test_an_address_that_was_mute_is_dialled_last(autojump_clock: trio.abc.Clock) -> None:
    hosts = Hosts()
    addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert hosts.ordered(addresses) == addresses
    for mute in (None, "192.0.2.1"):
        hosts.note_mute(mute)
    assert hosts.ordered(addresses) == ["192.0.2.2", "192.0.2.3", "192.0.2.1"]
    await trio.sleep(60)
    hosts.note_mute("192.0.2.2")
    assert hosts.ordered(addresses) == ["192.0.2.3", "192.0.2.1", "192.0.2.2"]
    await trio.sleep(MUTE_SECONDS)
    assert hosts.ordered(addresses) == addresses


async def test_a_dial_under_way_begins_anew(autojump_clock: trio.abc.Clock) -> None:
    hosts, begun = Hosts(), []
    ours, theirs = trio.testing.memory_stream_pair()

    async def dial(host: str, port: int) -> trio.abc.Stream:
        begun.append(trio.current_time())
        if len(begun) == 1:
            await trio.sleep_forever()
        return ours

    hosts.silent("mail.example.com", 993)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hosts.watched(dial), "mail.example.com", 993)
        await trio.sleep(7)
        hosts.answered("mail.example.com", 993)
    assert [each - start for each in begun] == [0, 7]
    await theirs.aclose()
