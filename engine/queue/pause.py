"""Holding back mail by request: the whole queue or one account's. What is being sent is finished, the rest waits.

The pauses are kept in the store by whoever sets them (`settings.py`, the account's row); here is what the lanes ask.
"""

from __future__ import annotations

from engine.model.waiting import Waiting
from engine.queue.schedule import Schedule
from engine.world import World


class Pauses:
    """Who is paused, and since when as far as this run knows. A change wakes the lanes it is about."""

    def __init__(self, schedule: Schedule, world: World) -> None:
        self._schedule = schedule
        self._world = world
        self._everyone: float | None = None
        self._accounts: dict[str, float] = {}

    def paused(self, account: str | None) -> bool:
        """Whether this account's mail waits; None asks for the queue as a whole."""
        return self._everyone is not None or account in self._accounts

    def waiting(self, account: str) -> Waiting | None:
        """The pause as what a message waits for; None when there is none."""
        if self._everyone is not None:
            return Waiting("paused", self._everyone, None, 'PUT /v1/settings/queue/submit {"paused":false}')
        if (since := self._accounts.get(account)) is not None:
            remedy = f'PUT /v1/settings/queue/submit {{"account":"{account}","paused":false}}'
            return Waiting("paused", since, None, remedy)
        return None

    def pause_everyone(self, paused: bool) -> None:
        """Hold back all mail, or let it go."""
        if paused != (self._everyone is not None):
            self._everyone = self._world.now() if paused else None
            self._schedule.poke()

    def pause(self, account: str, paused: bool) -> None:
        """Hold back one account's mail, or let it go."""
        if paused:
            self._accounts.setdefault(account, self._world.now())
        else:
            self._accounts.pop(account, None)
        self._schedule.of(account).poke()
