from __future__ import annotations

import random

from engine.model.limits import WindowLimit
from engine.queue.quota_windows import Cost, QuotaWindows, Use

MINUTE = WindowLimit("perMinute", 3, 60)
HOUR = WindowLimit("perHour", 10, 3600)
RECIPIENTS = WindowLimit("recipientsPerDay", 25, 86_400, True)


def used(windows: QuotaWindows, *times: float, recipients: int = 1) -> None:
    for row, at in enumerate(times, start=1):
        windows.add(Use(at, recipients, row))


def test_without_limits_all_may_go():
    windows = QuotaWindows(())
    assert not windows
    assert windows.ready_at(5, Cost(1000, 1000)) == 5
    assert windows.never_fits(Cost(1000, 1000)) is None


def test_a_window_rolls():
    windows = QuotaWindows((MINUTE,))
    used(windows, 0, 10, 20)
    assert windows.ready_at(30, Cost()) == 60
    assert windows.ready_at(30, Cost(2, 2)) == 70
    assert windows.ready_at(60, Cost()) == 60
    assert [(fill.used, fill.frees_at) for fill in windows.fills(65)] == [(2, 70)]
    assert [(fill.used, fill.frees_at) for fill in windows.fills(100)] == [(0, None)]


def test_the_slowest_window_decides():
    windows = QuotaWindows((MINUTE, HOUR, RECIPIENTS))
    used(windows, *(100 * number for number in range(9)), recipients=2)
    assert windows.ready_at(900, Cost(1, 1)) == 900
    assert windows.ready_at(900, Cost(2, 2)) == 3600
    assert windows.ready_at(900, Cost(1, 8)) == 86_400
    assert windows.fullest(900) is HOUR


def test_what_never_fits_is_known():
    windows = QuotaWindows((MINUTE, RECIPIENTS))
    assert windows.never_fits(Cost(3, 25)) is None
    assert windows.never_fits(Cost(4, 4)) is MINUTE
    assert windows.never_fits(Cost(1, 26)) is RECIPIENTS
    used(windows, 0)
    assert windows.ready_at(1, Cost(1, 26)) == 86_400  # as good as it gets


def test_after_a_full_window_waiting_mail_leaves_evenly_until_none_is_left():
    windows = QuotaWindows((HOUR,))
    used(windows, *range(10))
    windows.waits(20, Cost())
    assert windows.ready_at(20, Cost()) == 3600
    windows.add(Use(3600, 1, 11))
    assert windows.ready_at(3650, Cost()) == 3600 + 360
    windows.drained()
    assert windows.ready_at(3650, Cost()) == 3650


def test_a_window_with_room_is_not_spread():
    windows = QuotaWindows((HOUR,))
    used(windows, 0, 1)
    windows.waits(2, Cost())
    assert windows.ready_at(2, Cost()) == 2
    windows.spread(2, 0.5)
    assert windows.ready_at(2, Cost()) == 2
    windows.spread(2, 0.2)
    assert windows.ready_at(2, Cost()) == 1 + 360


def test_a_use_can_be_taken_back():
    windows = QuotaWindows((MINUTE,))
    used(windows, 0, 1, 2)
    windows.drop_newest(7)
    assert windows.ready_at(3, Cost()) == 60
    windows.drop_newest(3)
    assert windows.ready_at(3, Cost()) == 3
    assert windows.fills(3)[0].used == 2


def test_rows_that_count_nowhere_are_named_once():
    windows = QuotaWindows((MINUTE, HOUR))
    used(windows, 0, 10, 4000)
    assert windows.outdated(3600) == [1]
    assert windows.outdated(4000) == [2]
    windows.drop_newest(3)
    assert windows.outdated(9000) == []


def test_no_window_is_ever_above_its_limit():
    """Whatever waits, at whatever times."""
    chance = random.Random(21)
    limits = (MINUTE, HOUR, RECIPIENTS)
    for _ in range(5):
        windows, now, taken = QuotaWindows(limits), 0.0, list[tuple[float, int]]()
        for row in range(150):
            cost = Cost(1, chance.choice((1, 1, 1, 2, 9)))
            now += chance.choice((0.0, 1.0, 100.0, 9000.0))
            while (ready := windows.ready_at(now, cost)) > now:
                windows.waits(now, cost)
                now = ready
            if chance.random() < 0.2:
                windows.drained()
            windows.add(Use(now, cost.recipients, row))
            taken.append((now, cost.recipients))
        for limit in limits:
            for end, _ in taken:
                inside = [count for at, count in taken if end - limit.seconds < at <= end]
                assert (sum(inside) if limit.counts_recipients else len(inside)) <= limit.most
