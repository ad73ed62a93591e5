"""By when records are old, whatever the wall clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.queue.retention_clock import DAY, JUMP, PATIENCE, RetentionClock

NOW = 1_800_000_000.0


def test_it_follows_a_wall_clock_that_runs() -> None:
    age = RetentionClock(NOW, NOW + JUMP, 0)
    assert (age.look(NOW + JUMP + 300, 300), age.ahead) == (NOW + JUMP + 300, 0.0)


def test_minutes_of_a_wrong_clock_change_nothing() -> None:
    age = RetentionClock(NOW, NOW, 0)
    assert age.look(NOW + 40 * DAY, 300) == NOW + 300
    assert age.ahead > 39 * DAY
    assert age.look(NOW + 40 * DAY + 300, 600) == NOW + 600
    assert age.look(NOW + 900, 900) == NOW + 900
    assert age.ahead == 0.0


def test_a_clock_that_stays_ahead_is_followed_a_day_each_hour() -> None:
    age = RetentionClock(NOW, NOW + 3 * DAY, 0)
    seen = [age.look(NOW + 3 * DAY + clock, clock) for clock in (PATIENCE - 1, PATIENCE, 2 * PATIENCE, 4 * PATIENCE)]
    assert [round((moment - NOW) / DAY, 1) for moment in seen] == [0.0, 1.0, 2.1, 3.2]
    assert age.ahead == 0.0


def test_a_start_long_ago_and_the_right_time_later() -> None:
    """No battery: 1970 until the network is there."""
    age = RetentionClock(NOW, 100.0, 0)
    assert age.look(400.0, 300) == 400.0
    assert (age.look(NOW + 600, 600), age.ahead) == (NOW + 600, 0.0)


@given(st.lists(st.tuples(st.floats(0, 3600), st.floats(-1e9, 1e9)), max_size=30))
def test_it_never_goes_ahead_by_more_than_a_day_an_hour_nor_past_the_wall_clock(
    steps: list[tuple[float, float]],
) -> None:
    age, clock, last = RetentionClock(NOW, NOW, 0.0), 0.0, NOW
    for passed, off in steps:
        clock += passed
        wall = NOW + clock + off
        assert age.look(wall, clock) <= wall
        assert age.value - last <= passed + max(DAY, JUMP) + 1
        last = age.value
