"""Durations and sizes as people write them: `5m`, `50MiB`."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, None: 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_LONGEST = 100_000 * 86400.0
"""Seconds below which a duration has to be: sums with a time stay within what clocks and files can hold."""


def parse_duration(value: object) -> float:
    """Seconds from a number or a text such as `5m`. Raises ValueError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _LONGEST:
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a duration such as 10s, 5m or 1h")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds >= _LONGEST:
        raise ValueError("must be shorter than 100 000 days")
    return seconds


def parse_size(value: object) -> int:
    """Bytes from a number or a text such as `50MiB`. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a size such as 64KiB or 50MiB")
    return int(match[1]) * _BYTES[match[2]]
