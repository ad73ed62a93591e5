"""`/admin/accounts/{account}/folders`: an account's folders. The account's page loads them when they have arrived."""

from __future__ import annotations

from typing import Any

from quart import Response

from engine.api import account as api
from engine.api import mailboxes
from engine.errors import Problem
from engine.web.page import page
from engine.web.pages.accounts import PATH
from engine.web.roles import Role
from engine.web.visit import Visit

SHOWN = 200


@page(PATH + "/{account}/folders", role=Role.READER, under="accounts")
async def folders(visit: Visit, account: str) -> Response:
    """The page; of an account that is not connected, with what was known before."""
    found = await visit.ask(api.read, account)
    listed: list[dict[str, Any]] = []
    why = ""
    try:
        answer: Any = await visit.ask(mailboxes.mailboxes, account)
        listed = answer["mailboxes"]
    except Problem as problem:
        if problem.status not in (503, 504):
            raise
        why = problem.message
    errors = {each.path: each for each in found.folder_errors or ()}
    return visit.show(account=found, folders=listed[:SHOWN], more=len(listed) - SHOWN, why=why, errors=errors)
