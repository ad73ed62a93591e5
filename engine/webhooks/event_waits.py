"""How long events waited until a webhook had accepted them, by the hour: what the pages draw.

Kept in memory: a start of the engine begins anew.
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
        """An event is accepted that has waited since then (seconds since 1970).

        What is replayed has waited since that was asked for.
        """
        now = self._world.now()
        hour = int(now // HOUR)
        if hour not in self._longest:
            self._longest = {each: wait for each, wait in self._longest.items() if hour - HOURS < each <= hour}
        self._longest[hour] = max(self._longest.get(hour, 0.0), now - since)

    def last_day(self, waiting_since: float | None) -> list[float]:
        """The longest wait in each of the last 24 hours, the present one last, in seconds.

        An event that has not been accepted since `waiting_since` counts with what it had waited at the end of each
        hour.
        """
        now = self._world.now()
        found = []
        for hour in range(int(now // HOUR) - HOURS + 1, int(now // HOUR) + 1):
            wait = self._longest.get(hour, 0.0)
            if waiting_since is not None:
                wait = max(wait, min(now, (hour + 1) * HOUR) - waiting_since)
            found.append(wait)
        return found
