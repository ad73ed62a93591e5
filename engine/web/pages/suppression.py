"""`/admin/suppression`: the blocklists, and adding a recipient to one."""

from __future__ import annotations

from collections.abc import Mapping

from quart import Response

from engine.api import blocklists as api
from engine.errors import Problem
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/suppression"
SHOWN = 50


@page(PATH, role=Role.READER, menu=Menu("main", 60))
async def suppression(visit: Visit) -> Response:
    """The lists, and the form."""
    return await _shown(visit, {"listId": visit.query.get("listId", "")}, {})


@action(PATH, role=Role.OPERATOR)
async def add(visit: Visit) -> Response:
    """Add a recipient to a list, which exists from then on."""
    form = {name: visit.form.get(name, "").strip() for name in ("listId", "recipient", "account", "reason")}
    body = {"recipient": form["recipient"], "account": form["account"]}
    if form["reason"]:
        body["reason"] = form["reason"]
    try:
        if not form["listId"]:
            message = str(visit.text("suppression.needs_list"))
            raise Problem(400, message, fields=[{"path": "listId", "message": message}])
        added = await visit.ask(api.add, form["listId"], body=body)
    except Problem as problem:
        errors = {"account": problem.message} if problem.status == 404 else visit.faults(problem)
        return await _shown(visit, form, errors)
    if not added.added:
        return visit.to(PATH + "/{}", form["listId"], say="suppression.there", recipient=form["recipient"])
    return visit.to(PATH + "/{}", form["listId"], say="suppression.added", recipient=form["recipient"])


async def _shown(visit: Visit, given: Mapping[str, str], errors: dict[str, str]) -> Response:
    found = await visit.ask(api.listing, query={"page": visit.query.get("page") or None, "pageSize": SHOWN})
    return visit.show(status=422 if errors else 200, found=found, given=given, errors=errors)
