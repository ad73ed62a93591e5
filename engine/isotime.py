"""Times as the API writes them: ISO 8601 in UTC with milliseconds, `2026-11-22T11:45:23.564Z`."""

from __future__ import annotations

import functools
from datetime import UTC, datetime


@functools.lru_cache(maxsize=4)
def iso(seconds: float) -> str:
    """The text of a time in seconds since 1970 UTC; beyond the years 1 to 9999 it is the first or last of them."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        moment = (datetime.max if seconds > 0 else datetime.min).replace(tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def iso_or_none(seconds: float | None) -> str | None:
    """The same, None for None."""
    return None if seconds is None else iso(seconds)
