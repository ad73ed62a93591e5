"""`/admin/sandbox`: the mail that the sandbox has caught, newest first."""

from __future__ import annotations

from quart import Response

from engine.api import sandbox as api
from engine.errors import Problem
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/sandbox"
SHOWN = 30


@page(PATH, role=Role.READER, menu=Menu("main", 40))
async def sandbox(visit: Visit) -> Response:
    """The list; a page that says so where the sandbox is switched off."""
    try:
        listed = await visit.ask(api.listing, query={"page": visit.query.get("page") or None, "pageSize": SHOWN})
    except Problem as problem:
        if problem.status != 404:
            raise
        return visit.show(listed=None)
    return visit.show(listed=listed)


@action(PATH + "/empty", role=Role.OPERATOR)
async def empty(visit: Visit) -> Response:
    """Remove all of it."""
    removed = await visit.ask(api.remove)
    return visit.to(PATH, say="sandbox.emptied", count=removed.deleted)
