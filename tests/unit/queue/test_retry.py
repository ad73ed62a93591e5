from __future__ import annotations

from random import Random

import pytest

from engine.config import DEFAULT_SCHEDULE
from engine.queue.retry import delay


@pytest.mark.parametrize(("failed", "seconds"), list(enumerate(DEFAULT_SCHEDULE, start=1)))
def test_without_jitter_the_wait_is_the_schedules(failed: int, seconds: float) -> None:
    assert delay(DEFAULT_SCHEDULE, failed, 0.0, 0.5) == seconds


def test_the_last_entry_repeats() -> None:
    assert [delay((1.0, 5.0), failed, 0.0, 0.5) for failed in (1, 2, 3, 99)] == [1.0, 5.0, 5.0, 5.0]


def test_jitter_goes_both_ways_and_not_further() -> None:
    random = Random(1)
    waits = [delay((100.0,), 1, 0.1, random.random()) for _ in range(1000)]
    assert 90.0 <= min(waits) < 91.0
    assert 109.0 < max(waits) <= 110.0


def test_the_default_schedule_tries_for_more_than_three_days() -> None:
    total = sum(delay(DEFAULT_SCHEDULE, failed, 0.0, 0.5) for failed in range(1, 10))
    assert 3.5 < total / 86400 < 4.0
