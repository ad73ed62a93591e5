"""`/admin/events/{seq}`: one complete event."""

from __future__ import annotations

from typing import Any

from quart import Response

from engine.api import events as api
from engine.errors import Problem
from engine.web.page import page
from engine.web.pages.events import PATH
from engine.web.roles import Role
from engine.web.visit import Visit


@page(PATH + "/{seq}", role=Role.READER, under="events")
async def event(visit: Visit, seq: str) -> Response:
    """The event with this number. Raises `Problem` 404 for one that is not there, or no longer."""
    number = int(seq[:15]) if seq.isdecimal() else 0
    found: Any = await visit.ask(api.page, query={"before": number + 1, "limit": 1})
    if not found["events"] or found["events"][0]["seq"] != number:
        raise Problem(404, visit.text("event_page.gone"))
    shown = found["events"][0]
    data = shown.get("data")
    return visit.show(
        shown=shown,
        queue_id=data.get("queueId", "") if isinstance(data, dict) and isinstance(data.get("queueId"), str) else "",
        before=number - 1 if number > found["first"] else None,
        after=number + 1 if number < found["last"] else None,
    )
