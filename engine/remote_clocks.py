"""Compares the engine's clock with those of other servers: if it is wrong, nothing else shows that.

No request is made for this. Each answer by HTTP that the engine gets anyway (from OAuth2 providers and webhooks) has a
`Date` (RFC 9110 section 6.6.1); the newest of each host is compared with the engine's clock. Once that clock has been
set, or the machine was suspended, earlier comparisons no longer count.
"""

from __future__ import annotations

import statistics
from email.utils import parsedate_to_datetime

import msgspec
import trio

from engine.world import World

REMEMBERED = 86_400.0
"""Seconds for which an answer counts."""
MOST = 100
SLOWEST = 10.0
"""An answer that took longer (in seconds) says too little of when it was written."""
WRONG = 60.0
"""Seconds by which the clock may differ."""
STEP = 5.0
"""Seconds by which the engine's clock drifts from a steady one before it counts as set."""


class WrongClock(msgspec.Struct, frozen=True):
    """By how many seconds the engine's clock is ahead (negative: behind) of those of `hosts`, in alphabetical order."""

    ahead: float
    hosts: tuple[str, ...]


class _Told(msgspec.Struct, frozen=True):
    """`at` is by Trio's clock, `offset` how far the engine's was from that."""

    at: float
    offset: float
    ahead: float


class RemoteClocks:
    """The newest time from each server."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._told: dict[str, _Told] = {}

    def note(self, host: str, date: str, took: float) -> None:
        """Note the `Date` of an answer that came `took` seconds after its request; ignored if it is no date."""
        try:
            told = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError, TypeError):
            return
        if took > SLOWEST:
            return
        # A `Date` has whole seconds, and was written some time between request and answer.
        now, at = self._world.now(), trio.current_time()
        self._told.pop(host, None)
        self._told[host] = _Told(at, now - at, now - (told + 0.5 + took / 2))
        if len(self._told) > MOST:
            del self._told[next(iter(self._told))]

    def wrong(self) -> WrongClock | None:
        """How wrong the engine's clock is, by most of the servers that were heard in the last 24 hours."""
        at = trio.current_time()
        offset = self._world.now() - at
        ahead = {
            host: told.ahead
            for host, told in self._told.items()
            if at - told.at <= REMEMBERED and abs(offset - told.offset) <= STEP
        }
        if not ahead:
            return None
        middle = statistics.median(ahead.values())
        agreed = sorted(host for host, seconds in ahead.items() if abs(seconds - middle) < WRONG)
        if abs(middle) <= WRONG or len(agreed) * 2 <= len(ahead):
            return None
        return WrongClock(middle, tuple(agreed))
