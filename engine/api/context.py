"""What the handlers work with."""

from __future__ import annotations

import msgspec
import trio

from engine.accounts.account import Account
from engine.accounts.registry import Registry
from engine.accounts.services import Services
from engine.errors import Problem
from engine.events.consumers import Consumers
from engine.events.horizon import Horizon
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.events.state_changes import StateChanges
from engine.http.auth import Validity
from engine.http.control_requests import Started
from engine.http.problems import NO_ACCOUNT
from engine.http.request_bodies import Bodies
from engine.http.shared_limits import SharedLimit
from engine.http.websockets import Framed
from engine.http.wrong_tokens import WrongTokens
from engine.settings import SettingsBook
from engine.store.tokens import Token


class Streams(msgspec.Struct, frozen=True):
    """What every stream reads from; how many there may be, and how many named consumers each owner may have."""

    journal: Journal
    hub: Hub
    consumers: Consumers
    share: SharedLimit
    most_consumers: int
    framed: Framed = msgspec.field(default_factory=Framed)

    def refuse_one_more_consumer(self, owner: str) -> None:
        """Raise `Problem` 429 when this owner has as many consumers as it may."""
        if len(self.consumers.every(owner)) >= self.most_consumers:
            raise Problem(
                429,
                f"Too many consumers: {self.most_consumers} at most, remove one first",
                code="TooMany",
                headers={"Retry-After": "60"},
            )


class Context(msgspec.Struct, frozen=True):
    """The engine as the handlers see it. `stopping` is set when the process is about to end.

    `bodies` and `requests` count what all requests under way hold; `started` is how the process was started.
    """

    services: Services
    registry: Registry
    settings: SettingsBook
    stopping: trio.Event
    streams: Streams
    changes: StateChanges
    bodies: Bodies
    requests: SharedLimit
    wrong_tokens: WrongTokens
    started: Started

    def horizon(self, caller: Token) -> Horizon:
        """The journal as this caller may know it."""
        return Horizon(self.services.journal, self.services.store.reader, caller.account)

    def validity(self, caller: Token) -> Validity:
        """Whether this caller's token still holds, for what goes on for long."""
        return Validity(self.services.store.reader, self.services.world, caller)


def find_account(context: Context, account: str) -> Account:
    """The account of this id. Raises `Problem` 404."""
    found = context.registry.get(account)
    if found is None:
        raise Problem(404, NO_ACCOUNT)
    return found
