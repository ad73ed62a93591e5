"""`/admin/outbox`: the messages that have not ended, or those in one state, by account and recipient."""

from __future__ import annotations

from typing import get_args

from quart import Response

from engine.api import outbox as api
from engine.errors import Problem
from engine.schema.outbox import MessageState, OutboxPage
from engine.web.page import Menu, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/outbox"
FILTERS = ("state", "account", "recipient")
STATES = get_args(MessageState)
KINDS = {
    "in_doubt": "bad",
    "failed": "bad",
    "bounced": "bad",
    "held": "warn",
    "deferred": "warn",
    "sent": "good",
}
"""How the state of a message looks; others are `mute`."""
ON_A_PAGE = 25
_NOTHING = OutboxPage(total=0, page=0, pages=0, messages=())


@page(PATH, role=Role.READER, menu=Menu("main", 20, phone=True))
async def outbox(visit: Visit) -> Response:
    """One page of the list."""
    asked = {name: value for name in FILTERS if (value := visit.query.get(name, "").strip())}
    errors: dict[str, str] = {}
    try:
        query = {**asked, "page": visit.query.get("page"), "pageSize": ON_A_PAGE}
        listed = await visit.ask(api.listing, query=query)
    except Problem as problem:
        errors, listed = visit.faults(problem), _NOTHING
    return visit.show(
        status=400 if errors else 200,
        listed=listed,
        asked=asked,
        errors=errors,
        state=asked.get("state", "") if asked.get("state") in STATES else "",
        states=STATES,
        kinds=KINDS,
    )
