"""`/admin/settings/gateways`: SMTP servers through which messages of any account may go, and adding one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quart import Response

from engine.api import gateways as api
from engine.errors import Problem
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/gateways"
SHOWN = 50
_NEW = {"port": "465", "secure": "tls"}


@page(PATH, role=Role.READER, menu=Menu("settings", 40))
async def gateways(visit: Visit) -> Response:
    """The list, and the form."""
    return await _shown(visit, _NEW, {})


@action(PATH, role=Role.OPERATOR)
async def create(visit: Visit) -> Response:
    """Add a gateway; an existing one is never replaced."""
    form = visit.form
    name = form.get("gateway", "").strip()
    errors = {}
    if name:
        try:
            await visit.ask(api.read, name)
            errors = {"gateway": str(visit.text("gateways.taken"))}
        except Problem as problem:
            errors = {} if problem.status == 404 else visit.faults(problem)
    if errors:
        return await _shown(visit, form, errors)
    try:
        made = await visit.ask(api.create, body={"gateway": name or None, **body_of(form)})
    except Problem as problem:
        return await _shown(visit, form, visit.faults(problem))
    return visit.to(f"{PATH}/{{}}", made.gateway, say="gateways.created")


def body_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The body for the API that a form stands for; an empty password leaves the stored one unchanged."""
    user, password = form.get("user", "").strip(), form.get("pass", "")
    return {
        "name": form.get("name", "").strip(),
        "host": form.get("host", "").strip(),
        "port": form.get("port", "").strip(),
        "secure": form.get("secure") == "tls",
        "user": user or None,
        **({"pass": password} if password and user else {} if user else {"pass": None}),
    }


async def _shown(visit: Visit, given: Mapping[str, str], errors: dict[str, str]) -> Response:
    found = await visit.ask(api.listing, query={"page": visit.query.get("page") or None, "pageSize": SHOWN})
    return visit.show(
        status=422 if errors else 200, found=found, given=given, errors=errors, is_new=True, has_password=False
    )
