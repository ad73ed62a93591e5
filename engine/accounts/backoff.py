"""The waits between two connections to one server: doubling, and from the start again after one that survived.

Survival resets them, not success: a server that accepts and drops cannot make anybody spin. A connection that ended
over something the next one leaves alone is followed by a short wait, which says nothing about the server.
"""

from __future__ import annotations

import trio

from engine.accounts.services import Services

SURVIVED = 300.0
JITTER = 0.2


class Backoff:
    """One series of waits, between `imap.reconnect_min` and `imap.reconnect_max`."""

    def __init__(self, services: Services) -> None:
        self._config = services.config.imap
        self._random = services.world.random
        self._wait = self._config.reconnect_min

    async def wait_shortly(self) -> None:
        """Sleep before a connection that leaves alone what ended the last one."""
        await trio.sleep(self._config.reconnect_min * (1 + JITTER * self._random.random()))

    async def wait(self, lasted: float = 0.0) -> None:
        """Sleep before the next connection; the last one lasted so many seconds."""
        if lasted >= SURVIVED:
            self._wait = self._config.reconnect_min
        await trio.sleep(self._wait * (1 + JITTER * self._random.random()))
        self._wait = min(self._wait * 2, self._config.reconnect_max)
