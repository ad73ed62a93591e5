"""`/admin/settings/tokens/{token}`: one token, what was changed with it, and revoking it."""

from __future__ import annotations

from quart import Response

from engine.api import tokens as api
from engine.errors import Problem
from engine.web.page import action, page
from engine.web.pages.tokens import PATH
from engine.web.roles import Role
from engine.web.visit import Visit

SHOWN = 50


@page(PATH + "/{token}", role=Role.OWNER, under="tokens")
async def token(visit: Visit, token: str) -> Response:
    """The token; a revoked one still has its log."""
    log = await visit.ask(api.log, token, query={"page": visit.query.get("page") or None, "pageSize": SHOWN})
    try:
        found = await visit.ask(api.read, token)
    except Problem as problem:
        if problem.status != 404:
            raise
        found = None
    return visit.show(token=found, log=log)


@action(PATH + "/{token}/revoke", role=Role.OWNER)
async def revoke(visit: Visit, token: str) -> Response:
    """Revoke it."""
    if not (await visit.ask(api.revoke, token)).deleted:
        return visit.to(PATH, say="tokens.gone")
    return visit.to(PATH, say="tokens.revoked")
