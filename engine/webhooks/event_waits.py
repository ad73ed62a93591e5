"""How long events waited until a webhook accepted them, by the hour, for the chart of the pages.

It is kept in memory only, and begins anew at each start.
"""

from __future__ import annotations

from engine.world import World

HOUR = 3600
HOURS = 24


class EventWaits:
    """The longest wait of each of the last hours, of all endpoints together."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._longest: dict[int, float] = {}

    def accepted(self, since: float) -> None:
        """Note that an event was accepted that had waited since then (seconds since 1970).

        A replayed event has waited since its replay was requested.
        """
        now = self._world.now()
        hour = int(now // HOUR)
        if hour not in self._longest:
            self._longest = {each: wait for each, wait in self._longest.items() if hour - HOURS < each <= hour}
        self._longest[hour] = max(self._longest.get(hour, 0.0), now - since)

    def last_day(self, waiting_since: float | None) -> list[float]:
        """The longest wait in each of the last 24 hours, the current one last, in seconds.

        An event that has waited since `waiting_since` counts in each hour with its wait at the end of that hour.
        """
        now = self._world.now()
        found = []
        for hour in range(int(now // HOUR) - HOURS + 1, int(now // HOUR) + 1):
            wait = self._longest.get(hour, 0.0)
            if waiting_since is not None:
                wait = max(wait, min(now, (hour + 1) * HOUR) - waiting_since)
            found.append(wait)
        return found
