"""`/admin/settings/tokens`: the tokens of programs; issuing one, whose secret is shown once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from markupsafe import Markup
from quart import Response

from engine.api import tokens as api
from engine.errors import Problem
from engine.schema.tokens import Action, Group
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/tokens"
SCOPES = ("api", "smtp", "metrics", "mcp", "oauth-token", "*")
LIFETIMES = (0, 1, 7, 30, 90, 365)
"""Days that are offered; 0: until it is revoked."""
SHOWN = 50
IN_RESTRICTIONS = ("addresses", "referrers", "rateLimit")
"""The members of `restrictions` that have a field each."""


@page(PATH, role=Role.OWNER, menu=Menu("settings", 20))
async def tokens(visit: Visit) -> Response:
    """The list, and the form."""
    return await _shown(visit, {"scopes": ["api"], "days": "0"}, {}, {})


@action(PATH, role=Role.OWNER)
async def issue(visit: Visit) -> Response:
    """Issue a token."""
    form = visit.form
    body: dict[str, Any] = {
        "description": form.get("description", "").strip(),
        "scopes": visit.several("scopes"),
        "account": form.get("account", "").strip() or None,
        "permissions": {name: ticked for name in ("actions", "groups") if (ticked := visit.several(name))} or None,
        "restrictions": _restrictions(form) or None,
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
        errors = {"account": problem.message} if problem.status == 404 else _by_field(visit.faults(problem))
        return await _shown(visit, {**body, "days": days}, form, errors)
    secret = Markup('<code class="secret" translate="no">{}</code>').format(made.token)
    return visit.to(PATH, say="tokens.issued", secret=secret)


def _restrictions(form: Mapping[str, str]) -> dict[str, Any]:
    """The restrictions in the form: addresses and referrers, separated by blanks or commas."""
    found: dict[str, Any] = {
        name: listed for name in ("addresses", "referrers") if (listed := form.get(name, "").replace(",", " ").split())
    }
    most, window = form.get("maxRequests", "").strip(), form.get("timeWindow", "").strip()
    if most or window:
        found["rateLimit"] = {"maxRequests": _number(most), "timeWindow": _number(window)}
    return found


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


def _by_field(faults: dict[str, str]) -> dict[str, str]:
    """The faults by field of the form: those of one list share a field, and so do the two halves of the rate."""
    found: dict[str, str] = {}
    for path, text in faults.items():
        inside = path.removeprefix("restrictions.")
        field = next((name for name in IN_RESTRICTIONS if inside != path and inside.startswith(name)), path)
        found.setdefault(field, text)
    return found


def _no_description(visit: Visit) -> Problem:
    fault = {"path": "description", "message": str(visit.text("tokens.needs_description"))}
    return Problem(400, fault["message"], fields=[fault])


async def _shown(visit: Visit, given: dict[str, Any], form: Mapping[str, str], errors: dict[str, str]) -> Response:
    query = {name: visit.query.get(name) or None for name in ("query", "page")}
    found = await visit.ask(api.listing, query={**query, "pageSize": SHOWN})
    return visit.show(
        status=422 if errors else 200,
        found=found,
        query=query["query"] or "",
        given=given,
        form=form,
        errors=errors,
        scopes=SCOPES,
        actions=get_args(Action),
        groups=get_args(Group),
        lifetimes=LIFETIMES,
    )
