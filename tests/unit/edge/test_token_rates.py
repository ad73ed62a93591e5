"""Windows of tokens with a rate limit, on a clock that is moved."""

from __future__ import annotations

import trio
import trio.testing

from engine.edge import token_rates
from engine.edge.token_rates import Counted, TokenRates
from engine.model.token_restrictions import RateLimit


async def test_a_window_begins_with_its_first_request_and_ends_after_its_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rates, limit = TokenRates(), RateLimit(2, 10)
    await trio.sleep(3)
    assert rates.count("a", limit) == Counted(True, 2, 1, 10)
    await trio.sleep(4.5)
    assert rates.count("a", limit) == Counted(True, 2, 0, 6)
    assert rates.count("a", limit) == Counted(False, 2, 0, 6)
    assert rates.count("b", limit) == Counted(True, 2, 1, 10)
    await trio.sleep(5.4)
    assert rates.count("a", limit) == Counted(False, 2, 0, 1)
    await trio.sleep(0.1)
    assert rates.count("a", limit) == Counted(True, 2, 1, 10)


async def test_a_clock_that_is_set_back_ends_no_window(autojump_clock: trio.testing.MockClock) -> None:
    # The windows go by Trio's clock, which no one sets.
    rates = TokenRates()
    assert rates.count("a", RateLimit(1, 100)).let_in
    await trio.sleep(99.9)
    assert not rates.count("a", RateLimit(1, 100)).let_in


async def test_memory_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    token_rates.KEPT, before = 3, token_rates.KEPT
    try:
        rates = TokenRates()
        for name, seconds in (("a", 100), ("b", 1), ("c", 100)):
            rates.count(name, RateLimit(1, seconds))
        await trio.sleep(2)
        rates.count("d", RateLimit(1, 100))
        assert not rates.count("a", RateLimit(1, 100)).let_in  # b's window was over and made room
        rates.count("e", RateLimit(1, 100))
        assert rates.count("a", RateLimit(1, 100)).let_in  # the oldest went
        assert len(rates._windows) == 3
    finally:
        token_rates.KEPT = before
