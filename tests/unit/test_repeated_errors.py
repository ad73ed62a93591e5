"""What of a trouble is worth a line."""

from __future__ import annotations

import pytest

from engine.repeated_errors import CAUSES, EVERY, RepeatedErrors, counted, spoken


def test_a_cause_is_told_at_once_and_then_once_an_hour_with_how_often() -> None:
    refrain = RepeatedErrors()
    told = {at: said for at in range(0, 3 * 3600 + 1, 600) if (said := refrain.failed("shut", float(at))) is not None}
    assert list(told) == [0, 3600, 7200, 10800]
    assert told[0] == ""
    assert told[10800] == " (6 times within the last 60 min; it has failed for 3 h)"


def test_each_cause_is_told_though_they_take_turns() -> None:
    refrain = RepeatedErrors()
    said = [refrain.failed(cause, float(at)) for at, cause in enumerate(["shut", "silent"] * 3)]
    assert said == ["", "", None, None, None, None]


def test_a_server_that_says_something_new_each_time_fills_no_log() -> None:
    refrain = RepeatedErrors()
    said = [refrain.failed(number, 1.0) for number in range(1000)]
    assert said.count("") == CAUSES + 1
    assert refrain.failed(1001, 1.0 + EVERY) is not None


def test_the_end_is_told_once() -> None:
    refrain = RepeatedErrors()
    assert refrain.over(0.0) is None
    refrain.failed("shut", 10.0)
    refrain.failed("shut", 20.0)
    assert refrain
    over = refrain.over(70.0)
    assert over is not None
    assert (over.seconds, over.failures) == (60.0, 2)
    assert not refrain
    assert refrain.over(80.0) is None
    assert refrain.failed("shut", 90.0) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (119.0, "119 s"), (120.0, "2 min"), (7199.0, "120 min"), (7200.0, "2 h"), (172_800.0, "2 days")],
)
def test_spans_of_time_in_words(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_numbers_of_things_in_words() -> None:
    assert [counted(count, "attempt") for count in (0, 1, 2)] == ["0 attempts", "1 attempt", "2 attempts"]
