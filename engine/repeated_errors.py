"""Decides which repeated errors to log: each cause at once, then once an hour with the number of failures.

After a recovery it says how long the trouble lasted. Pure: the caller passes in the time of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

EVERY = 3600.0
"""Seconds between two lines about the same cause."""
CAUSES = 20
"""Maximum causes distinguished in one trouble; further ones, as from a server that varies its text, count as one."""


class _Cause(msgspec.Struct):
    told_at: float
    since_told: int = 0


class Over(msgspec.Struct, frozen=True):
    """A trouble that is over: how many seconds it lasted, and the number of failures."""

    seconds: float
    failures: int


class RepeatedErrors:
    """One thing that may fail."""

    def __init__(self) -> None:
        self._causes: dict[Hashable, _Cause] = {}
        self._since: float | None = None
        self._failures = 0

    def __bool__(self) -> bool:
        """Whether it is failing now."""
        return self._since is not None

    def failed(self, cause: Hashable, now: float) -> str | None:
        """Note a failure; return what to add to the log line, or None for no line."""
        if self._since is None:
            self._since = now
        self._failures += 1
        if cause not in self._causes and len(self._causes) >= CAUSES:
            cause = None
        known = self._causes.get(cause)
        if known is None:
            self._causes[cause] = _Cause(now)
            return ""
        known.since_told += 1
        if now - known.told_at < EVERY:
            return None
        count, known.since_told = known.since_told, 0
        within, known.told_at = spoken(now - known.told_at), now
        return f" ({times(count)} within the last {within}; it has failed for {spoken(now - self._since)})"

    def over(self, now: float) -> Over | None:
        """Note a success; return the trouble that it ended, if any."""
        if self._since is None:
            return None
        ended = Over(now - self._since, self._failures)
        self._causes.clear()
        self._since, self._failures = None, 0
        return ended


def counted(count: int, noun: str) -> str:
    """A number of things in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def times(count: int) -> str:
    """A number of times in words."""
    return "once" if count == 1 else f"{count} times"


def spoken(seconds: float) -> str:
    """A span of time in words, with as much precision as a reader wants."""
    for size, name in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
