"""The waits between two connections to one server: they double, and start over after a connection that survived.

* Only a connection that lasted resets them, not a mere success, so a server that accepts and then hangs up does not
  cause rapid reconnects.
* A connection that ended because of something that the next one will avoid is followed by a short wait, which does not
  count.
* If nothing answers, or after a connection that worked (as when a server restarts repeatedly), the waits stay at most
  `LONGEST_UNREFUSED`. They end as soon as another dial shows that a silent host answers again.
* Longer waits follow only refusals by the server.
"""

from __future__ import annotations

import random

import trio

from engine.errors import EngineError, LoginRefused
from engine.imap.session import CommandRefused
from engine.silent_hosts import Hosts, Via, unanswered

SURVIVED = 300.0
WORKED = 10.0
"""Seconds that a connection must last to count as having worked, unlike one that is dropped right after the login."""
JITTER = 0.2
LONGEST_UNREFUSED = 33.0
"""Longest wait before jitter without a refusal: including the dial, mail is then announced within a minute."""


class Backoff:
    """The waits for one server, behind the proxy `via`: from `shortest` to `longest` seconds."""

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
        """Sleep before a connection that will avoid what ended the last one."""
        await trio.sleep(self._jittered(self._shortest))

    async def wait(self, error: EngineError, lasted: float = 0.0, *, anew: bool = False, worked: bool = False) -> None:
        """Sleep before the next connection; the last one lasted `lasted` seconds and ended with `error`.

        `anew`: start over from the shortest wait, however briefly the connection lasted. `worked`: the account was in
        sync.
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
