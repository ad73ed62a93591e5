"""The waits between two connections to one server: doubling, and from the start again after one that survived.

Survival resets them, not success: a server that accepts and drops cannot make anybody spin. A connection that ended
over something the next one leaves alone is followed by a short wait, which says nothing about the server. Where nothing
answers, and after a connection that worked, as when a server is started again and again, the waits stay short; they end
as soon as another dial shows that a silent host answers again. The long ones are for what the server refuses.
"""

from __future__ import annotations

import random

import trio

from engine.errors import EngineError, LoginRefused
from engine.hosts import Hosts, Via, unanswered
from engine.imap.session import CommandRefused

SURVIVED = 300.0
WORKED = 10.0
"""Seconds that tell a server which is started again from one that takes a login and hangs up."""
JITTER = 0.2
LONGEST_UNREFUSED = 33.0
"""Longest wait before jitter where nothing was refused: with the dial before it, mail is told within a minute after."""


class Backoff:
    """One series of waits for one server, behind the proxy `via`, from `shortest` up to `longest` seconds."""

    def __init__(
        self,
        shortest: float,
        longest: float,
        hosts: Hosts,
        random: random.Random,
        host: str,
        port: int,
        via: Via = None,
    ) -> None:
        self._shortest = shortest
        self._longest = longest
        self._hosts = hosts
        self._random = random
        self._host = host
        self._port = port
        self._via = via
        self._wait = shortest

    async def wait_shortly(self) -> None:
        """Sleep before a connection that leaves alone what ended the last one."""
        await trio.sleep(self._jittered(self._shortest))

    async def wait(self, error: EngineError, lasted: float = 0.0, *, anew: bool = False, worked: bool = False) -> None:
        """Sleep before the next connection; the last one lasted so many seconds and ended like this.

        `anew`: start from the shortest wait, however short the connection lasted. `worked`: the account was in sync.
        """
        if anew or lasted >= SURVIVED:
            self._wait = self._shortest
        longest = self._longest
        if unanswered(error) or (worked and lasted >= WORKED):
            longest = min(longest, LONGEST_UNREFUSED)
        seconds = self._jittered(min(self._wait, longest))
        if isinstance(error, (LoginRefused, CommandRefused)):
            await trio.sleep(seconds)
        else:
            await self._hosts.wait(self._host, self._port, seconds, self._via)
        self._wait = min(self._wait * 2, longest)

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + JITTER * self._random.random())
