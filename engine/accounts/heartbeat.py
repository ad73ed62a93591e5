"""How often an account checks a silent server, and what it has learnt about idle timeouts.

Proxies and firewalls drop connections that are idle for some time, with or without a notice. If a connection dies after
T idle seconds, the account checks sooner than that for one day; then it starts over. It learns only if the next dial
succeeds at once, since an outage says nothing about idle timeouts, and not if the server gave a reason for hanging up.
The checks of many accounts are spread at random.
"""

from __future__ import annotations

import re

import msgspec
import trio

from engine.errors import NetworkError, NetworkKind
from engine.isotime import iso
from engine.schema.account_condition import LearntHeartbeat
from engine.world import World

SHORTEST = 10.0
SHORTEST_AFTER_MUTE = 20.0
"""Shortest interval learnt from a connection found dead: a device with a shorter timeout would close it visibly."""
SHORTEST_LESSON = 12.0
"""A connection that was idle for fewer seconds did not die of that."""
BELOW = 0.8
"""The interval learnt from a closed connection, as a fraction of its idle time."""
BELOW_MUTE = 0.5
"""The same for a connection found dead, which may have died long before."""
LEARNT_SECONDS = 86_400.0
JITTER = 0.15


class Learnt(msgspec.Struct, frozen=True):
    """An interval in seconds, and until when it holds, in seconds since 1970."""

    seconds: float
    until: float


_FOR_IDLING = re.compile(r"\b(idle|idling|inactiv\w*|auto-?logout|time[d -]?out)\b", re.IGNORECASE)


class Heartbeat:
    """The interval of one account's checks; `usual` is the one in seconds if nothing has been learnt.

    `learnt` is the value of `remembered` from the last run.
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
        """Seconds of silence after which the server is checked."""
        if self._learnt is not None and trio.current_time() >= self._until:
            self._learnt = None
        return self._usual if self._learnt is None else min(self._learnt, self._usual)

    def next(self) -> float:
        """The interval, shortened a little at random."""
        return self.interval * (1 - JITTER * self._world.random.random())

    def learn(self, seconds: float) -> None:
        """Use an interval of `seconds` for one day."""
        self._learnt = seconds
        self._until = trio.current_time() + LEARNT_SECONDS

    @property
    def remembered(self) -> Learnt | None:
        """What the next start should know; None if nothing has been learnt."""
        if self.interval == self._usual or self._learnt is None:
            return None
        return Learnt(self._learnt, self._until + self._world.now() - trio.current_time())

    def shown(self) -> LearntHeartbeat | None:
        """The form in which the account shows it; None if nothing has been learnt."""
        learnt = self.remembered
        return None if learnt is None else LearntHeartbeat(seconds=round(learnt.seconds), until=iso(learnt.until))


class WatchedLine:
    """One of the account's connections, over all its reconnects, and what its ends teach."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._lesson: float | None = None
        self.quiet = 0.0
        """Idle seconds after which the last connection ended; 0 if it was in use or was never made."""

    def died(self, error: Exception) -> bool:
        """Note that a connection ended or could not be made; return whether success of the next dial would teach us.

        Resets `quiet` to 0.
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
        """Note that a connection was made; return whether the account has learnt from it.

        It learns if the previous connection died while idle and this is the first dial since, so there was no outage.
        """
        lesson, self._lesson = self._lesson, None
        if lesson is None or lesson >= self._heartbeat.interval:
            return False
        self._heartbeat.learn(lesson)
        return True
