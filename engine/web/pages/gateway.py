"""`/admin/settings/gateways/{gateway}`: one gateway: its errors, changing and removing it."""

from __future__ import annotations

from collections.abc import Mapping

from quart import Response

from engine.api import gateways as api
from engine.errors import Problem
from engine.web.page import action, page
from engine.web.pages.gateways import PATH, body_of
from engine.web.roles import Role
from engine.web.visit import Visit

_ONE = PATH + "/{gateway}"


@page(_ONE, role=Role.READER, under="gateways")
async def gateway(visit: Visit, gateway: str) -> Response:
    """The gateway."""
    return await _shown(visit, gateway, None, {})


@action(_ONE, role=Role.OPERATOR)
async def change(visit: Visit, gateway: str) -> Response:
    """Change it."""
    try:
        await visit.ask(api.update, gateway, body=body_of(visit.form))
    except Problem as problem:
        return await _shown(visit, gateway, visit.form, visit.faults(problem))
    return visit.to(PATH + "/{}", gateway, say="gateway.saved")


@action(_ONE + "/remove", role=Role.OPERATOR)
async def remove(visit: Visit, gateway: str) -> Response:
    """Remove it."""
    gone = await visit.ask(api.remove, gateway)
    return visit.to(PATH, say="gateway.removed", count=gone.waiting)


async def _shown(visit: Visit, gateway: str, given: Mapping[str, str] | None, errors: dict[str, str]) -> Response:
    found = await visit.ask(api.read, gateway)
    stored = {
        "name": found.name,
        "host": str(found.host or ""),
        "port": str(found.port or ""),
        "secure": "tls" if found.secure else "starttls",
        "user": str(found.user or ""),
    }
    return visit.show(
        status=422 if errors else 200,
        gateway=found,
        given=stored if given is None else given,
        errors=errors,
        is_new=False,
        has_password=bool(found.password),
    )
