"""Parses `Retry-After` (RFC 9110 section 10.2.3). Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_tz

LONGEST = 86400.0
"""Maximum seconds by which a receiver may delay its events."""


def seconds(value: str, now: float) -> float | None:
    """Seconds to wait from `now` (since 1970), more than 0 and at most `LONGEST`.

    The value is whole seconds, or a date in one of HTTP's three formats. None for anything else, for 0, and for a date
    in the past.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        wanted = float(value) if len(value) < 20 else LONGEST
    else:
        moment = _moment(value)
        if moment is None:
            return None
        wanted = moment - now
    return min(wanted, LONGEST) if wanted > 0 else None


def _moment(value: str) -> float | None:
    try:
        parsed = parsedate_tz(value)
        if parsed is None:
            return None
        year, month, day, hour, minute, second = parsed[:6]
        # A zone offset can have any size, so subtract it from the number: a date could overflow.
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp() - (parsed[9] or 0)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
