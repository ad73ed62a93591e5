"""What a failed post means for an account's line."""

from __future__ import annotations

import math

from engine.events.lines import LONGEST_AWAY, Line

SCHEDULE = (5.0, 60.0, 7200.0)


def failed(line: Line, now: float, *, answered: bool, taken_at: float = -math.inf, retry_after: float | None = None):
    return line.wait_after(SCHEDULE, now, answered=answered, retry_after=retry_after, taken_at=taken_at)


def test_what_is_refused_follows_the_schedule_and_is_parked_after_it() -> None:
    line = Line("a", 0, 5)
    assert [failed(line, now, answered=True) for now in (0, 5, 65, 7265)] == [5.0, 60.0, 7200.0, None]


def test_retry_after_makes_a_wait_longer_and_never_shorter() -> None:
    line = Line("a", 0, 5)
    assert failed(line, 0, answered=True, retry_after=17.0) == 17.0
    assert failed(line, 17, answered=True, retry_after=17.0) == 60.0
    assert failed(line, 77, answered=True, retry_after=0.0) == 7200.0


def test_a_receiver_that_is_away_is_waited_for_however_long() -> None:
    line = Line("a", 0, 5)
    waits = [failed(line, day * 86400.0, answered=False) for day in range(30)]
    assert waits[:3] == [5.0, 60.0, LONGEST_AWAY]
    assert set(waits[3:]) == {LONGEST_AWAY}


def test_an_event_that_breaks_the_receiver_is_parked_once_others_were_taken() -> None:
    line = Line("a", 0, 5)
    for now in (0.0, 5.0, 65.0, 3665.0):
        assert failed(line, now, answered=False, taken_at=60.0) is not None
    assert failed(line, 7265.0, answered=False, taken_at=60.0) is None


def test_what_was_taken_before_it_says_nothing() -> None:
    line = Line("a", 0, 5)
    assert all(failed(line, 100.0 + hour * 3600, answered=False, taken_at=99.0) for hour in range(20))


def test_done_with_one_the_next_begins_anew() -> None:
    line = Line("a", 0, 5)
    failed(line, 0, answered=True)
    line.advance(3)
    assert (line.seq, line.attempts, line.next_at, line.since) == (3, 0, None, None)
    line.advance(2)
    assert line.seq == 3
