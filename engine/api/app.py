"""The API of one running engine: the operations of every resource, served."""

from __future__ import annotations

from quart_trio import QuartTrio

from engine.api import operations
from engine.api.context import Context
from engine.api.tags import TAGS
from engine.http import dispatch
from engine.http.dispatch import Front


def make_app(context: Context) -> QuartTrio:
    """The app. Raises `ValueError` for an operation whose declaration does not fit it."""
    services = context.services
    front = Front(
        store=services.store,
        world=services.world,
        config=services.config,
        started=context.started,
        bodies=context.bodies,
        requests=context.requests,
        wrong_tokens=context.wrong_tokens,
    )
    return dispatch.make_app(front, context, operations(), TAGS)
