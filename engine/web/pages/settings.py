"""`/admin/settings`: the pages of the settings, and those that a phone's bar has no room for."""

from __future__ import annotations

from quart import Response

from engine.web.page import Menu, page
from engine.web.roles import Role
from engine.web.visit import Visit


@page("/admin/settings", role=Role.READER, menu=Menu("main", 1000, phone=True))
async def settings(visit: Visit) -> Response:
    """The list of them."""
    return visit.show()
