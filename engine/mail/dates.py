"""Parses the Date field of a message. It never raises: what is not a date gives None."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import mktime_tz, parsedate_tz

LONGEST = 200
_FIRST, _END = -2_208_988_800.0, 221_845_392_000.0
"""The years 1900 to 8999, in seconds since 1970."""


def read_date(raw: bytes) -> float | None:
    """Seconds since 1970 of a date in the format of RFC 5322, RFC 822 or ISO 8601."""
    text = raw[:LONGEST].decode("ascii", "replace").strip()
    try:
        parts = parsedate_tz(text)
        if parts is not None and not _exists(*parts[2:6]):
            return None
        seconds = float(mktime_tz(parts)) if parts is not None else _iso(text)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return seconds if _FIRST <= seconds < _END else None


def _exists(day: int, hour: int, minute: int, second: int) -> bool:
    """Whether a day has this time (`mktime_tz` would carry into the next day). Second 60 is a leap second."""
    return 1 <= day <= 31 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60


def _iso(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
