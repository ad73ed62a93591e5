"""How often an account asks a server that says nothing whether it is still there, and what it learnt about that.

Proxies and firewalls forget a line that was quiet for some time, with a word or without. A connection that died after T
seconds of quiet teaches the account to speak up sooner than that, for a day; then it finds out anew. It is taught only
where the next dial succeeds at once: an outage says nothing of idle lines, and a server that says why it hangs up has
not been cut off. The beats of many accounts are spread by chance.
"""

from __future__ import annotations

import re

import msgspec
import trio

from engine.errors import NetworkError, NetworkKind
from engine.isotime import iso
from engine.schema.account_status import LearntHeartbeat
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


class Learnt(msgspec.Struct, frozen=True):
    """An interval in seconds, and until when it counts, in seconds since 1970."""

    seconds: float
    until: float


_FOR_IDLING = re.compile(r"\b(idle|idling|inactiv\w*|auto-?logout|time[d -]?out)\b", re.IGNORECASE)


class Heartbeat:
    """The rhythm of one account's connections; `usual` is the interval in seconds while nothing was learnt.

    `learnt` is what was `remembered` when the engine ran before.
    """

    def __init__(self, usual: float, world: World, learnt: Learnt | None = None) -> None:
        self._usual = usual
        self._world = world
        self._learnt: float | None = None
        self._until = 0.0
        if learnt is not None:
            self._learnt = max(learnt.seconds, SHORTEST)
            self._until = trio.current_time() + min(learnt.until - world.now(), LEARNT_SECONDS)

    @property
    def interval(self) -> float:
        """Seconds without a word from the server after which it is asked."""
        if self._learnt is not None and trio.current_time() >= self._until:
            self._learnt = None
        return self._usual if self._learnt is None else min(self._learnt, self._usual)

    def next(self) -> float:
        """The interval, made a little shorter at random."""
        return self.interval * (1 - JITTER * self._world.random.random())

    def learn(self, seconds: float) -> None:
        """Ask after so many seconds for a day."""
        self._learnt = seconds
        self._until = trio.current_time() + LEARNT_SECONDS

    @property
    def remembered(self) -> Learnt | None:
        """What the next start is to know; None while nothing was learnt."""
        if self.interval == self._usual or self._learnt is None:
            return None
        return Learnt(self._learnt, self._until + self._world.now() - trio.current_time())

    def shown(self) -> LearntHeartbeat | None:
        """As the account shows it; None while nothing was learnt."""
        learnt = self.remembered
        return None if learnt is None else LearntHeartbeat(seconds=round(learnt.seconds), until=iso(learnt.until))


class WatchedLine:
    """One of the account's lines, connected again and again, and what its end may teach."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._lesson: float | None = None
        self.quiet = 0.0
        """Seconds of quiet after which the last connection ended, 0 where it was in use or could not be made."""

    def died(self, error: Exception) -> bool:
        """A connection ended, or could not be made. Whether there is something to learn, should the next dial succeed.

        `quiet` is 0 again afterwards.
        """
        quiet, self.quiet = self.quiet, 0.0
        self._lesson = None
        interval = self._heartbeat.interval
        if quiet < SHORTEST_LESSON or not isinstance(error, NetworkError) or interval <= SHORTEST:
            return False
        told = str(error).startswith("The server closed the connection:")
        if told and not _FOR_IDLING.search(str(error)):
            return False
        if error.kind is NetworkKind.TIMEOUT:
            lesson = max(SHORTEST_AFTER_MUTE, quiet * BELOW_MUTE)
        else:
            lesson = max(SHORTEST, quiet * BELOW)
        if lesson >= min(quiet, interval):
            return False
        self._lesson = lesson
        return True

    def connected(self) -> bool:
        """A connection was made: if it is the first dial after one that died of quiet, that was no outage.

        Whether the account has learnt from it.
        """
        lesson, self._lesson = self._lesson, None
        if lesson is None or lesson >= self._heartbeat.interval:
            return False
        self._heartbeat.learn(lesson)
        return True
