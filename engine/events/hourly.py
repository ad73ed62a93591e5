"""How many events of each name the last hours had. An hour that is over is counted once and kept in memory.

Numbers rise with the times of events; if the clock was set back, the counts are approximate.
"""

from __future__ import annotations

import trio

from engine.store import events
from engine.store.writer import Store
from engine.world import World

HOUR = 3600
HOURS = 24


class HourlyCounts:
    """The counts of one journal."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world
        self._over: dict[int, dict[str, int]] = {}

    async def last_day(self) -> list[tuple[float, dict[str, int]]]:
        """The last 24 hours, oldest first, including the current one: when each began, and its counts by name."""
        present = int(self._world.now() // HOUR)
        hours = range(present - HOURS + 1, present + 1)
        self._over = {hour: counts for hour, counts in self._over.items() if hour in hours}
        found = []
        for hour in hours:
            counts = self._over.get(hour)
            if counts is None:
                await trio.lowlevel.checkpoint()
                counts = self._counted(hour)
                if hour < present:
                    self._over[hour] = counts
            found.append((float(hour * HOUR), counts))
        return found

    def _counted(self, hour: int) -> dict[str, int]:
        db = self._store.reader
        after, upto = events.since(db, hour * HOUR), events.since(db, (hour + 1) * HOUR)
        return events.counts_between(db, after, upto) if upto > after else {}
