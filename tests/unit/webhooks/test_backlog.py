"""What a failed post means for an account's line."""

from __future__ import annotations

import math

from engine.webhooks.backlog import AccountBacklog
from engine.webhooks.retry import LONGEST_AWAY, LONGEST_SILENCE, PostOutcome, steps_within

SCHEDULE = (5.0, 60.0, 7200.0)


def failed(
    line: AccountBacklog,
    now: float,
    outcome: PostOutcome = PostOutcome.ANSWERED,
    *,
    taken_at: float = -math.inf,
    retry_after: float | None = None,
) -> float | None:
    return line.wait_after(SCHEDULE, now, outcome, retry_after=retry_after, taken_at=taken_at)


def test_what_is_refused_follows_the_schedule_and_is_parked_after_it() -> None:
    line = AccountBacklog("a", 0, 5)
    assert [failed(line, now) for now in (0, 5, 65, 7265)] == [5.0, 60.0, 7200.0, None]


def test_retry_after_makes_a_wait_longer_and_never_shorter() -> None:
    line = AccountBacklog("a", 0, 5)
    assert failed(line, 0, retry_after=17.0) == 17.0
    assert failed(line, 17, retry_after=17.0) == 60.0
    assert failed(line, 77, retry_after=0.0) == 7200.0


def test_a_receiver_that_is_away_is_waited_for_however_long() -> None:
    line = AccountBacklog("a", 0, 5)
    waits = [failed(line, day * 86400.0, PostOutcome.SHUT) for day in range(30)]
    assert waits[:3] == [5.0, 60.0, LONGEST_AWAY]
    assert set(waits[3:]) == {LONGEST_AWAY}


def test_an_event_that_breaks_the_receiver_is_parked_once_others_were_taken() -> None:
    line = AccountBacklog("a", 0, 5)
    for now in (0.0, 5.0, 65.0, 3665.0):
        assert failed(line, now, PostOutcome.SHUT, taken_at=60.0) is not None
    assert failed(line, 7265.0, PostOutcome.SHUT, taken_at=60.0) is None


def test_what_was_taken_before_it_says_nothing() -> None:
    line = AccountBacklog("a", 0, 5)
    assert all(failed(line, 100.0 + hour * 3600, PostOutcome.SHUT, taken_at=99.0) for hour in range(20))


def test_done_with_one_the_next_begins_anew() -> None:
    line = AccountBacklog("a", 0, 5)
    failed(line, 0)
    line.advance(3)
    assert (line.seq, line.attempts, line.next_at, line.since) == (3, 0, None, None)
    line.advance(2)
    assert line.seq == 3


def test_a_silent_host_is_looked_for_every_minute() -> None:
    line = AccountBacklog("a", 0, 5)
    assert [failed(line, 50.0 * n, PostOutcome.SILENT) for n in range(200)] == [5.0, *[LONGEST_SILENCE] * 199]


def test_what_may_have_been_taken_lengthens_no_wait() -> None:
    line = AccountBacklog("a", 0, 5)
    assert {failed(line, 20.0 * n, PostOutcome.UNKNOWN) for n in range(200)} == {5.0}


def test_what_is_never_answered_while_others_are_taken_waits_ever_longer_and_is_parked() -> None:
    line = AccountBacklog("a", 0, 5)
    waits = [failed(line, now, PostOutcome.UNKNOWN, taken_at=1e6) for now in (0.0, 5.0, 65.0, 7265.0)]
    assert waits == [5.0, 60.0, LONGEST_AWAY, None]


def test_a_refusal_after_a_long_silence_is_the_first_step_of_the_schedule() -> None:
    for outcome in (PostOutcome.SILENT, PostOutcome.UNKNOWN):
        line = AccountBacklog("a", 0, 5)
        for n in range(2000):
            failed(line, 50.0 * n, outcome)
        assert failed(line, 100_050.0) == 5.0
        assert line.attempts == 2001


def test_after_a_restart_no_more_steps_count_than_there_was_time_for() -> None:
    assert [steps_within(SCHEDULE, n, 86_400.0) for n in (0, 1, 2, 3, 4)] == [0, 1, 2, 3, 4]
    assert [steps_within(SCHEDULE, 500, seconds) for seconds in (0.0, 5.0, 64.9, 65.0, 7265.0)] == [1, 2, 2, 3, 4]
