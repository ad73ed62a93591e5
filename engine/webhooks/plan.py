"""What a webhook endpoint is to do, and what it posts for an event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from engine.events.size_limit import MOST
from engine.webhooks.expression_checks import ExpressionError
from engine.webhooks.expressions import Expression
from engine.webhooks.target import WebhookTarget


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint is to do. `names` and `accounts` None: all; `until`: the number of the last event to post.

    `target_of` returns where an account's events go; None for nowhere.
    """

    names: frozenset[str] | None
    accounts: frozenset[str] | None
    target_of: Callable[[str], WebhookTarget | None]
    filter: Expression | None = None
    map: Expression | None = None
    until: int | None = None
    route: str | None = None


class _Head(msgspec.Struct):
    date: str
    event_id: str = msgspec.field(name="eventId")
    event: str = ""


class Letter(msgspec.Struct, frozen=True):
    """A post to make. `attempts` is the number of earlier attempts, `happened` is in seconds since 1970.

    `event` is the name of the event.
    """

    seq: int
    event_id: str
    body: bytes
    happened: float
    attempts: int = 0
    route: str | None = None
    event: str = ""


def payload(plan: Plan, body: bytes) -> bytes | None:
    """What to post for an event: its bytes or the result of the map; None if the filter leaves it out.

    Raises `ExpressionError`.
    """
    return applied(plan.filter, plan.map, body)


def applied(filter_: Expression | None, map_: Expression | None, body: bytes) -> bytes | None:
    """The same for these expressions, each None if absent. Raises `ExpressionError`."""
    if filter_ is None and map_ is None:
        return body
    event = msgspec.json.decode(body)
    try:
        if filter_ is not None and not filter_.holds(event):
            return None
    except ExpressionError as error:
        raise ExpressionError(f"the filter cannot be applied: {error}") from error
    if map_ is None:
        return body
    try:
        made = msgspec.json.encode(map_.evaluate(event))
    except (ExpressionError, TypeError, ValueError, RecursionError) as error:
        raise ExpressionError(f"the map cannot be applied: {error}") from error
    if len(made) > MOST:
        raise ExpressionError(f"the map makes {len(made)} octets of it, but at most {MOST} are posted")
    return made


def letter_of(seq: int, event: bytes, attempts: int, route: str | None, body: bytes | None = None) -> Letter:
    """The letter for an event, with `body` instead of the event's bytes if given."""
    head = msgspec.json.decode(event, type=_Head)
    return Letter(
        seq=seq,
        event_id=head.event_id,
        body=event if body is None else body,
        happened=datetime.fromisoformat(head.date).timestamp(),
        attempts=attempts,
        route=route,
        event=head.event,
    )
