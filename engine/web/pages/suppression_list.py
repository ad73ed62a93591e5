"""`/admin/suppression/{list_id}`: the recipients on one list, why and since when; taking one off it."""

from __future__ import annotations

from quart import Response

from engine.api import blocklists as api
from engine.errors import Problem
from engine.web.page import action, page
from engine.web.pages.suppression import PATH
from engine.web.roles import Role
from engine.web.visit import Visit

SHOWN = 50
_ONE = PATH + "/{list_id}"


@page(_ONE, role=Role.READER, under="suppression")
async def suppression_list(visit: Visit, list_id: str) -> Response:
    """The entries. A list without entries does not exist: back to the others."""
    query = visit.query.get("query", "").strip()
    asked = {"query": query or None, "page": visit.query.get("page") or None, "pageSize": SHOWN}
    try:
        found = await visit.ask(api.read, list_id, query=asked)
    except Problem as problem:
        if problem.status != 404:
            raise
        return visit.to(PATH, say="suppression.no_list", name=list_id)
    return visit.show(found=found, query=query)


@action(_ONE + "/remove", role=Role.OPERATOR)
async def remove(visit: Visit, list_id: str) -> Response:
    """Take a recipient off the list."""
    recipient = visit.form.get("recipient", "")
    gone = await visit.ask(api.remove, list_id, query={"recipient": recipient})
    try:
        await visit.ask(api.read, list_id, query={"pageSize": 1})
        left = True
    except Problem as problem:
        if problem.status != 404:
            raise
        left = False
    ids = (list_id,) if left else ()
    back = PATH + "/{}" if left else PATH
    if not gone.deleted:
        return visit.to(back, *ids, say="suppression.not_there", recipient=recipient)
    return visit.to(back, *ids, say="suppression.removed", recipient=recipient)
