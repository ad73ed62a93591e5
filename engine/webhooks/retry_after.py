"""What `Retry-After` asks for (RFC 9110 section 10.2.3), where it asks for anything. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_tz

LONGEST = 86400.0
"""Seconds a receiver may have its events held back."""


def seconds(value: str, now: float) -> float | None:
    """Seconds to wait from `now` (since 1970), more than 0 and at most `LONGEST`.

    Whole seconds, or a date in any of HTTP's three forms. None for what is neither, for 0, and for what is past.
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
        # The seconds of a zone may be anything at all, so they are taken off a number and not off a date.
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp() - (parsed[9] or 0)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
