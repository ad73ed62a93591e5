"""`Retry-After` says how long to wait, or nothing; never less than nothing, and no value of it breaks anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.retry_after import LONGEST, seconds

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("1", 1.0),
        (" 120 ", 120.0),
        ("0120", 120.0),
        ("86401", LONGEST),
        ("9" * 18, LONGEST),
        ("9" * 5000, LONGEST),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        ("Sun Nov  6 08:50:37 1994", 60.0),
        ("Sun, 06 Nov 1994 09:50:37 +0100", 60.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
        ("Sun, 06 Nov 1994 08:50:60 GMT", 82.0),
    ],
)
def test_what_it_asks_for(value: str, wait: float) -> None:
    assert seconds(value, NOW) == wait


@pytest.mark.parametrize(
    "value",
    [
        *("", "0", "00", "-1", "+5", "1.5", "1e9", "5s", "5, 5", "²", "٣", "inf", "nan", "soon", "0x10", "never\x00"),
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:36 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sun, 31 Feb 2027 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        "Sun, 06 Nov",
    ],
)
def test_what_says_nothing(value: str) -> None:
    assert seconds(value, NOW) is None


@given(st.text(st.characters(max_codepoint=255)) | st.from_regex(r"\w{3}, \d+ Nov \d+ \d+:\d+:\d+ [+-]?\w*"))
def test_nothing_breaks_it(value: str) -> None:
    wait = seconds(value, NOW)
    assert wait is None or 0 < wait <= LONGEST
