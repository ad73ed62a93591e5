"""How often an account asks a server that says nothing whether it is still there, and what it learnt about that.

Proxies and firewalls forget a line that was quiet for some time, with a word or without. A connection that died after T
seconds of quiet teaches the account to speak up sooner than that, for a day; then it finds out anew. It is taught only
where the next dial succeeds at once: an outage says nothing of idle lines, and a server that says why it hangs up has
not been cut off. The beats of many accounts are spread by chance.
"""

from __future__ import annotations

import re

import trio

from engine.errors import NetworkError, NetworkKind
from engine.isotime import iso
from engine.schema.account import LearntHeartbeat
from engine.world import World

SHORTEST = 10.0
SHORTEST_AFTER_MUTE = 20.0
"""What forgets lines sooner than that closes them with a word; lines found dead one by one have other reasons too."""
SHORTEST_LESSON = 12.0
"""A line that was quiet for less has not died of it."""
BELOW = 0.8
"""The share of the quiet a line was closed after that is left to the next one."""
BELOW_MUTE = 0.5
"""The same for a line found dead: it may have died long before."""
LEARNT_SECONDS = 86_400.0
JITTER = 0.15

_FOR_IDLING = re.compile(r"\b(idle|idling|inactiv\w*|auto-?logout|time[d -]?out)\b", re.IGNORECASE)


class Heartbeat:
    """The rhythm of one account's connections; `usual` is the interval in seconds while nothing was learnt."""

    def __init__(self, usual: float, world: World) -> None:
        self._usual = usual
        self._world = world
        self._learnt: float | None = None
        self._until = 0.0
        self._lesson: float | None = None

    @property
    def interval(self) -> float:
        """Seconds without a word from the server after which it is asked."""
        if self._learnt is not None and trio.current_time() >= self._until:
            self._learnt = None
        return self._usual if self._learnt is None else min(self._learnt, self._usual)

    def next(self) -> float:
        """The interval, made a little shorter at random."""
        return self.interval * (1 - JITTER * self._world.random.random())

    def died(self, quiet: float, error: Exception) -> bool:
        """A connection ended after so many seconds of quiet, 0 where it was in use or could not be made.

        Whether there is something to learn from that, should the next dial succeed.
        """
        self._lesson = None
        if quiet < SHORTEST_LESSON or not isinstance(error, NetworkError) or self.interval <= SHORTEST:
            return False
        told = str(error).startswith("The server closed the connection:")
        if told and not _FOR_IDLING.search(str(error)):
            return False
        if error.kind is NetworkKind.TIMEOUT:
            lesson = max(SHORTEST_AFTER_MUTE, quiet * BELOW_MUTE)
        else:
            lesson = max(SHORTEST, quiet * BELOW)
        if lesson >= min(quiet, self.interval):
            return False
        self._lesson = lesson
        return True

    def connected(self) -> None:
        """A connection was made: if it is the first dial after a line that died of quiet, that was no outage."""
        if self._lesson is not None:
            self._learnt, self._lesson = self._lesson, None
            self._until = trio.current_time() + LEARNT_SECONDS

    def shown(self) -> LearntHeartbeat | None:
        """As the account shows it; None while nothing was learnt."""
        if self.interval == self._usual or self._learnt is None:
            return None
        away = self._world.now() - trio.current_time()
        return LearntHeartbeat(seconds=round(self._learnt), until=iso(self._until + away))
