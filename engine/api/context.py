"""What the handlers work with, and how a change is carried through."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar

import msgspec
import trio
from quart import Request

from engine.accounts.account import Account
from engine.accounts.registry import Registry
from engine.accounts.services import Services
from engine.api.bodies import Bodies
from engine.api.control import Started
from engine.api.problems import NO_ACCOUNT
from engine.api.shares import Share
from engine.api.stream import Streams
from engine.api.wrong_tokens import WrongTokens
from engine.errors import Problem
from engine.events.changes import Changes
from engine.settings import SettingsBook

T = TypeVar("T")
CHANGE_SECONDS = 60.0
HELD = "engine.held"
"""In the scope of a request: what is let go of once its answer has ended."""


class Context(msgspec.Struct, frozen=True):
    """The engine as the handlers see it. `stopping` is set when the process is about to end.

    `bodies` and `requests` count what all requests under way hold; `started` is how the process was started.
    """

    services: Services
    registry: Registry
    settings: SettingsBook
    stopping: trio.Event
    streams: Streams
    changes: Changes
    bodies: Bodies
    requests: Share
    wrong_tokens: WrongTokens
    started: Started


def find_account(context: Context, account: str) -> Account:
    """The account of this id. Raises `Problem` 404."""
    found = context.registry.get(account)
    if found is None:
        raise Problem(404, NO_ACCOUNT)
    return found


def until_answered(request: Request) -> ExitStack:
    """What is entered here lasts until the answer to `request` has ended, or its client has left."""
    scope: Mapping[str, Any] = request.scope
    held: ExitStack = scope[HELD]
    return held


async def carry_through(change: Awaitable[T]) -> T:
    """Do a change to its end even if the caller hangs up meanwhile, at most for a minute."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CHANGE_SECONDS):
        return await change
    raise Problem(503, "The change took too long; whether it was made is unknown", code="Timeout")
