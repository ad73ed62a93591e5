from __future__ import annotations

import math

import pytest

from engine.isotime import iso, iso_or_none


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_764_231_923.564, "2025-11-27T08:25:23.564Z"),
        (1e14, "9999-12-31T23:59:59.999Z"),
        (1e300, "9999-12-31T23:59:59.999Z"),
        (math.inf, "9999-12-31T23:59:59.999Z"),
        (-1e14, "0001-01-01T00:00:00.000Z"),
        (-math.inf, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_every_time_has_a_text(seconds: float, text: str) -> None:
    assert iso(seconds) == iso_or_none(seconds) == text


def test_none_has_none() -> None:
    assert iso_or_none(None) is None
