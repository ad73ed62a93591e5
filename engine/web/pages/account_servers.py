"""`/admin/accounts/{account}/servers`: where an account reads and sends; the passwords stay as they are."""

from __future__ import annotations

from typing import Any

from quart import Response

from engine.api import account as api
from engine.errors import Problem
from engine.web.page import action, page
from engine.web.pages.account import ONE, logins
from engine.web.pages.accounts import PATH
from engine.web.roles import Role
from engine.web.visit import Visit

_MEMBERS = ("host", "port", "secure")


@page(PATH + "/{account}/servers", role=Role.OPERATOR, under="accounts")
async def servers(visit: Visit, account: str) -> Response:
    """The form."""
    return await _shown(visit, account)


async def _shown(visit: Visit, account: str, errors: dict[str, str] | None = None) -> Response:
    found = await visit.ask(api.read, account)
    values = {}
    for each in logins(found):
        values[f"{each.side}.host"], values[f"{each.side}.port"] = each.host, str(each.port)
        values[f"{each.side}.secure"] = "tls" if each.secure else "starttls"
    given = {name: value for name, value in visit.form.items() if name in values}
    return visit.show(
        status=422 if errors else 200,
        account=found,
        sides=[each.side for each in logins(found)],
        values={**values, **given},
        errors=errors or {},
    )


@action(PATH + "/{account}/servers", role=Role.OPERATOR)
async def change(visit: Visit, account: str) -> Response:
    """Change them."""
    found = await visit.ask(api.read, account)
    body: dict[str, Any] = {}
    for each in logins(found):
        host, port, secure = (visit.form.get(f"{each.side}.{member}", "").strip() for member in _MEMBERS)
        is_number = port.isascii() and port.isdigit() and len(port) < 9
        body[each.side] = {
            "partial": True,
            "host": host,
            "port": int(port) if is_number else port,
            "secure": secure == "tls",
        }
    try:
        await visit.ask(api.update, account, body=body)
    except Problem as problem:
        return await _shown(visit, account, visit.faults(problem))
    return visit.to(ONE, account, say="servers.changed")
