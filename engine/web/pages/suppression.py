"""`/admin/suppression`: who gets no mail at all, and the blocklists; adding a recipient to either, removing one."""

from __future__ import annotations

from collections.abc import Mapping

from quart import Response

from engine.api import blocklists as api
from engine.api import suppression as for_all_mail
from engine.errors import Problem
from engine.schema.suppression import SuppressionRemove
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/suppression"
SHOWN = 50


@page(PATH, role=Role.READER, menu=Menu("main", 60))
async def suppression(visit: Visit) -> Response:
    """Both, and the form."""
    return await _shown(visit, {"listId": visit.query.get("listId", "")}, {})


@action(PATH, role=Role.OPERATOR)
async def add(visit: Visit) -> Response:
    """Add a recipient to a list, which exists from then on; without a list, to those who get no mail at all."""
    form = {name: visit.form.get(name, "").strip() for name in ("recipient", "listId", "account", "reason", "expires")}
    recipient, list_id = form["recipient"], form["listId"]
    body = {name: form[name] for name in ("recipient", "account", "reason", "expires") if form[name]}
    try:
        if not list_id:
            await visit.ask(for_all_mail.add, body=body)
            return visit.to(PATH, say="suppression.added_all", recipient=recipient)
        if "expires" in body:
            message = str(visit.text("suppression.no_expiry"))
            raise Problem(400, message, fields=[{"path": "expires", "message": message}])
        added = await visit.ask(api.add, list_id, body=body)
    except Problem as problem:
        errors = {"account": problem.message} if problem.status == 404 else visit.faults(problem)
        return await _shown(visit, form, errors)
    if not added.added:
        return visit.to(PATH + "/{}", list_id, say="suppression.there", recipient=recipient)
    return visit.to(PATH + "/{}", list_id, say="suppression.added", recipient=recipient)


@action("/admin/unsuppress", role=Role.OPERATOR)
async def remove(visit: Visit) -> Response:
    """Let a recipient have mail again: of one account, or of all. An address that a bounce told may be an odd one."""
    recipient, account = visit.form.get("recipient", ""), visit.form.get("account")
    gone = await visit.ask(for_all_mail.remove, query=SuppressionRemove(recipient=recipient, account=account or None))
    if not gone.deleted:
        return visit.to(PATH, say="suppression.not_there", recipient=recipient)
    return visit.to(PATH, say="suppression.removed_all", recipient=recipient)


async def _shown(visit: Visit, given: Mapping[str, str], errors: dict[str, str]) -> Response:
    query = visit.query.get("query", "").strip()
    asked = {"query": query or None, "page": visit.query.get("page") or None, "pageSize": SHOWN}
    return visit.show(
        status=422 if errors else 200,
        found=await visit.ask(for_all_mail.listing, query=asked),
        lists=await visit.ask(api.listing, query={"page": visit.query.get("lists") or None, "pageSize": SHOWN}),
        query=query,
        given=given,
        errors=errors,
    )
