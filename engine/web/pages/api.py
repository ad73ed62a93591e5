"""`/admin/settings/api`: every operation of the API, by group."""

from __future__ import annotations

from quart import Response

from engine.api import operations
from engine.http.operation import Operation
from engine.web.page import Menu, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/api"


@page(PATH, role=Role.READER, menu=Menu("settings", 60))
async def api(visit: Visit) -> Response:
    """The list; with `query`, those that have it in their path or words."""
    query = visit.query.get("query", "").strip()
    wanted = query.casefold()
    groups: dict[str, list[Operation]] = {}
    for each in operations():
        if not each.websocket and wanted in f"{each.name} {each.summary} {' '.join(each.tags)}".casefold():
            groups.setdefault(each.tags[0] if each.tags else "", []).append(each)
    return visit.show(
        groups=sorted(groups.items()),
        count=sum(map(len, groups.values())),
        query=query[:300],
    )
