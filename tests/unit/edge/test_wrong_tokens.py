"""Wrong tokens slow down by address; where a request comes from."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from engine.edge.wrong_tokens import ADDRESSES, MOST, WINDOW, WrongTokens, source_of
from engine.http.client_address import Addresses


def statuses(wrong: WrongTokens, address: str, count: int) -> list[int]:
    return [wrong.refusal(address).status for _ in range(count)]


async def test_twenty_wrong_tokens_in_any_minute(autojump_clock: trio.testing.MockClock) -> None:
    wrong = WrongTokens()
    assert statuses(wrong, "192.0.2.1", 10) == [401] * 10
    await trio.sleep(40)
    assert statuses(wrong, "192.0.2.1", 12) == [401] * 10 + [429] * 2
    problem = wrong.refusal("192.0.2.1")
    assert (problem.headers, problem.extra["ttl"]) == ({"Retry-After": "20"}, 20)
    assert statuses(wrong, "192.0.2.2", 1) == [401]
    await trio.sleep(20)
    # Ten of the last minute are still counted, and no more than twenty ever are.
    assert statuses(wrong, "192.0.2.1", 11) == [401] * 10 + [429]
    await trio.sleep(WINDOW)
    assert statuses(wrong, "192.0.2.1", MOST + 1) == [401] * MOST + [429]


async def test_whoever_waits_as_told_is_answered(autojump_clock: trio.testing.MockClock) -> None:
    wrong = WrongTokens()
    for _ in range(3):
        for _ in range(MOST + 1):
            problem = wrong.refusal("192.0.2.1")
            await trio.sleep(0.3)
        await trio.sleep(float(problem.headers["Retry-After"]))
        assert wrong.refusal("192.0.2.1").status == 401


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
    ],
)
async def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:
    wrong = WrongTokens()
    assert statuses(wrong, one, MOST + 1)[-1] == 429
    assert wrong.refusal(other).status == (429 if same else 401)


async def test_memory_is_bounded_and_the_longest_unheard_is_forgotten() -> None:
    wrong = WrongTokens()
    assert statuses(wrong, "192.0.2.1", MOST)[-1] == 401
    for number in range(ADDRESSES + 100):
        if number % 1000 == 0:
            assert wrong.refusal("192.0.2.1").status == 429
        wrong.refusal(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    assert wrong.refusal("192.0.2.1").status == 429
    assert wrong.refusal("10.0.0.1").status == 401
    assert len(wrong._times) == len(wrong._counts) == ADDRESSES


async def test_told_once_a_minute_in_one_line(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wrong = WrongTokens()
    async with trio.open_nursery() as nursery:
        await nursery.start(wrong.run)
        await trio.sleep(1000)
        assert caplog.messages == []
        for address, count in (("192.0.2.1", 30), ("2001:db8::1", 2)):
            statuses(wrong, address, count)
        await trio.sleep(WINDOW + 1)
        assert caplog.messages == ["32 requests had a bad token; they came from 2 addresses, 30 of them from 192.0.2.1"]
        await trio.sleep(1000)
        assert len(caplog.messages) == 1
        wrong.refusal("192.0.2.9")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert caplog.messages[1:] == ["1 requests had a bad token; they came from 1 addresses, 1 of them from 192.0.2.9"]


def request(peer: str | None, *forwarded: str) -> Any:
    return SimpleNamespace(remote_addr=peer, headers=Headers([("X-Forwarded-For", line) for line in forwarded]))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7, \x1b[2J"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("198.51.100.7", ["6.6.6.6"], "198.51.100.7"),
        (None, ["6.6.6.6"], "unknown"),
    ],
)
def test_a_proxy_is_believed_as_far_as_it_is_trusted(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert Addresses(("127.0.0.1", "10.0.0.0/8")).of(request(peer, *forwarded)) == expected


def test_nobody_is_believed_by_default() -> None:
    assert Addresses(()).of(request("127.0.0.1", "198.51.100.7")) == "127.0.0.1"


@given(st.text(), st.lists(st.text()))
def test_any_words_are_survived(peer: str, forwarded: list[str]) -> None:
    lines = [each.replace("\r", "").replace("\n", "") for each in forwarded]
    address = Addresses(("0.0.0.0/0", "::/0")).of(request(peer, *lines))
    assert isinstance(source_of(address), str)
    assert isinstance(source_of(peer), str)
