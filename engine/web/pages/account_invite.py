"""`/admin/send-link`: a link at which a customer connects the mailbox, so that no operator sees the password."""

from __future__ import annotations

from typing import Any

from quart import Response

from engine.api import authentication, oauth2, settings
from engine.errors import Problem
from engine.web.page import action, page
from engine.web.pages.account import home_of
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/send-link"
_FIELDS = ("account", "name", "email", "redirectUrl", "type", "serviceUrl")


@page(PATH, role=Role.OPERATOR, under="accounts")
async def form(visit: Visit) -> Response:
    """The form."""
    return await _shown(visit, {name: visit.query.get(name, "") for name in ("account", "email", "name")})


async def _shown(visit: Visit, values: dict[str, str], errors: dict[str, str] | None = None) -> Response:
    apps = await visit.ask(oauth2.listing, query={"pageSize": 100})
    home = await home_of(visit)
    host = visit.asked.headers.get("host", "")
    return visit.show(
        status=422 if errors else 200,
        values={"serviceUrl": f"{'https' if visit.is_secure else 'http'}://{host}" if host else "", **values},
        errors=errors or {},
        ways=[(each.id, each.name) for each in apps.apps if each.enabled],
        needs_url=home is None,
    )


@action(PATH, role=Role.OPERATOR)
async def make(visit: Visit) -> Response:
    """Make the link; first set the URL at which browsers reach the engine, if it is unknown."""
    values = {name: value for name in _FIELDS if (value := visit.form.get(name, "").strip())}
    home = await home_of(visit)
    try:
        if home is None:
            await visit.ask(settings.update, body={"serviceUrl": values.get("serviceUrl", "")})
            home = await home_of(visit)
        body: dict[str, Any] = {name: values[name] for name in ("account", "name", "email", "type") if name in values}
        made = await visit.ask(authentication.create, body={**body, "redirectUrl": values.get("redirectUrl") or home})
    except Problem as problem:
        return await _shown(visit, values, visit.faults(problem))
    return visit.show(template="account_link.html", url=made.url, whose=None, again=False)
