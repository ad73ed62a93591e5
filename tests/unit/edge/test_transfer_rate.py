"""How slow a transfer may be, on a clock that is moved."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from engine.edge.transfer_rate import TransferRate


def slow(clock: MockClock, pace: TransferRate, step: float, size: int, *, until: float) -> float | None:
    """When a peer that moves `size` bytes every `step` seconds is given up; None where it is not before `until`."""
    begun = clock.current_time()
    while (now := clock.current_time()) - begun < until:
        if pace.deadline() < now + step:
            return pace.deadline() - begun
        clock.jump(step)
        pace.moved(size)
    return None


@pytest.mark.parametrize(
    ("step", "size", "given_up"),
    [
        (0.1, 800, None),  # 8 kB/s
        (59, 59 * 600, None),  # in lumps, but fast enough
        (61, 10_000_000, 60),  # silence
        (59, 1, 60),  # a byte in time, again and again
        (1, 100, 60 + 74 * 100 / 512),
        (1, 511, 60 + 61 * 511 / 512),
    ],
)
async def test_silence_and_slowness_are_given_up_and_nothing_else(
    mock_clock: MockClock, step: float, size: int, given_up: float | None
) -> None:
    ended = slow(mock_clock, TransferRate(60, 512), step, size, until=20_000)
    if given_up is None:
        assert ended is None
    elif size == 511:
        # A little below the rate is let go for as long as it takes to fall 60 s behind.
        assert ended is None or ended > 10_000
    else:
        assert ended == pytest.approx(given_up, abs=step / 2)


async def test_without_a_limit_nothing_is_given_up(mock_clock: MockClock) -> None:
    assert TransferRate(0, 512).deadline() == math.inf
    assert slow(mock_clock, TransferRate(60, 0), 59, 1, until=100_000) is None


async def test_what_was_not_counted_counts_as_a_sign_of_life_within_the_rate(mock_clock: MockClock) -> None:
    pace = TransferRate(60, 512)
    mock_clock.jump(59)
    assert pace.moved_on(1) and not pace.moved_on(0)
    mock_clock.jump(2)
    assert not pace.moved_on(1)
    pace.moved(100_000)
    assert pace.moved_on(1)
    assert trio.current_time() < pace.deadline()
