"""Times as the API writes them: ISO 8601 in UTC with milliseconds, `2026-11-22T11:45:23.564Z`."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(seconds: float) -> str:
    """The text of a time given in seconds since 1970 UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def iso_or_none(seconds: float | None) -> str | None:
    """The same, None for None."""
    return None if seconds is None else iso(seconds)
