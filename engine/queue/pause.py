"""Pausing the whole queue or one account on request. A message being sent is finished; the rest waits.

The code that sets a pause also stores it (`settings.py`, the account's row); the lanes ask here.
"""

from __future__ import annotations

from engine.model.waiting import Waiting
from engine.queue.schedule import Schedule
from engine.world import World


class Pauses:
    """What is paused, and since when as far as this run knows. A change wakes the lanes concerned."""

    def __init__(self, schedule: Schedule, world: World) -> None:
        self._schedule = schedule
        self._world = world
        self._everyone: float | None = None
        self._accounts: dict[str, float] = {}

    def paused(self, account: str | None) -> bool:
        """Whether this account's mail is paused; None or "" asks about the queue as a whole."""
        return self._everyone is not None or account in self._accounts

    def waiting(self, account: str) -> Waiting | None:
        """The pause as the reason why a message waits; None if there is no pause."""
        if self._everyone is not None:
            return Waiting("paused", self._everyone, None, 'PUT /v1/settings/queue/submit {"paused":false}')
        if (since := self._accounts.get(account)) is not None:
            remedy = f'PUT /v1/settings/queue/submit {{"account":"{account}","paused":false}}'
            return Waiting("paused", since, None, remedy)
        return None

    def pause_everyone(self, paused: bool) -> None:
        """Pause or resume the whole queue."""
        if paused != (self._everyone is not None):
            self._everyone = self._world.now() if paused else None
            self._schedule.poke()

    def pause(self, account: str, paused: bool) -> None:
        """Pause or resume one account."""
        if paused:
            self._accounts.setdefault(account, self._world.now())
        else:
            self._accounts.pop(account, None)
        self._schedule.pause(account, account in self._accounts)
