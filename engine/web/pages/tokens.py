"""`/admin/settings/tokens`: the tokens of programs; issuing one, whose secret is shown once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup
from quart import Response

from engine.api import tokens as api
from engine.errors import Problem
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/tokens"
SCOPES = ("api", "smtp", "oauth-token", "metrics", "*")
LIFETIMES = (0, 1, 7, 30, 90, 365)
"""Days that are offered; 0: until it is revoked."""
SHOWN = 50


@page(PATH, role=Role.OWNER, menu=Menu("settings", 20))
async def tokens(visit: Visit) -> Response:
    """The list, and the form."""
    return await _shown(visit, {"scopes": ["api"], "days": "0"}, {})


@action(PATH, role=Role.OWNER)
async def issue(visit: Visit) -> Response:
    """Issue a token."""
    form = visit.form
    body: dict[str, Any] = {
        "description": form.get("description", "").strip(),
        "scopes": visit.several("scopes"),
        "account": form.get("account", "").strip() or None,
    }
    days = form.get("days", "0")
    if days in map(str, LIFETIMES) and days != "0":
        now = datetime.fromtimestamp(visit.context.world.now(), UTC)
        body["expires"] = (now + timedelta(days=int(days))).isoformat()
    try:
        if not body["description"]:
            raise _no_description(visit)
        made = await visit.ask(api.create, body=body)
    except Problem as problem:
        errors = {"account": problem.message} if problem.status == 404 else visit.faults(problem)
        return await _shown(visit, {**body, "days": days}, errors)
    secret = Markup('<code class="secret" translate="no">{}</code>').format(made.token)
    return visit.to(PATH, say="tokens.issued", secret=secret)


def _no_description(visit: Visit) -> Problem:
    fault = {"path": "description", "message": str(visit.text("tokens.needs_description"))}
    return Problem(400, fault["message"], fields=[fault])


async def _shown(visit: Visit, given: dict[str, Any], errors: dict[str, str]) -> Response:
    query = {name: visit.query.get(name) or None for name in ("query", "page")}
    found = await visit.ask(api.listing, query={**query, "pageSize": SHOWN})
    return visit.show(
        status=422 if errors else 200,
        found=found,
        query=query["query"] or "",
        given=given,
        errors=errors,
        scopes=SCOPES,
        lifetimes=LIFETIMES,
    )
