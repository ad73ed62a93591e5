"""The Date field in the forms that are met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.dates import read_date

NOON = 1795345200.0


@pytest.mark.parametrize(
    "written",
    [
        b"Sun, 22 Nov 2026 11:00:00 +0000",
        b"Sun, 22 Nov 2026 13:00:00 +0200 (EET)",
        b"22 Nov 2026 06:00 EST",
        b"Sun, 22 Nov 26 11:00:00 GMT",
        b" Sun,22 nov 2026 11:00:00 ",
        b"2026-11-22T11:00:00Z",
        b"2026-11-22 11:00:00",
    ],
)
def test_dates(written):
    assert read_date(written) == NOON


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"yesterday",
        b"Mon, 99 Foo 99999 99:99:99",
        b"1 Jan 20000 0:00 GMT",
        b"\xff",
        b"Sat, 28 Nov 2026 25:00:00 +0100",
        b"Sat, 28 Nov 2026 10:61:00 +0100",
        b"Sat, 28 Nov 2026 10:00:75 +0100",
        b"Sat, 32 Nov 2026 10:00:00 +0100",
    ],
)
def test_what_is_no_date(written):
    assert read_date(written) is None


@given(st.binary(max_size=60))
def test_nothing_raises(written):
    read_date(written)
