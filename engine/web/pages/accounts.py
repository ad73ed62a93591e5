"""`/admin/accounts`: every account with its state, filtered by text or state."""

from __future__ import annotations

from typing import get_args

from quart import Response

from engine.api import account as api
from engine.errors import Problem
from engine.schema.account import AccountList, AccountState
from engine.web.account_words import as_a_whole
from engine.web.page import Menu, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/accounts"
STATES = get_args(AccountState)
TROUBLED = ("authenticationError", "connectError", "disconnected")
ON_A_PAGE = 25
_NOTHING = AccountList(total=0, page=0, pages=0, accounts=())


@page(PATH, role=Role.READER, menu=Menu("main", 10, phone=True))
async def accounts(visit: Visit) -> Response:
    """One page of the list."""
    asked = {name: value for name in ("query", "state") if (value := visit.query.get(name, "").strip())}
    errors: dict[str, str] = {}
    try:
        listed = await visit.ask(api.listing, query={**asked, "page": visit.query.get("page"), "pageSize": ON_A_PAGE})
    except Problem as problem:
        errors, listed = visit.faults(problem), _NOTHING
    troubles = [(state, await _number(visit, state)) for state in TROUBLED]
    return visit.show(
        status=400 if errors else 200,
        listed=listed,
        rows=[(each, as_a_whole(each)) for each in listed.accounts],
        asked=asked,
        errors=errors,
        state=asked.get("state", ""),
        states=STATES,
        troubles=[(state, count) for state, count in troubles if count],
        total=await _number(visit, None),
    )


async def _number(visit: Visit, state: str | None) -> int:
    return (await visit.ask(api.listing, query={"state": state, "pageSize": 1})).total
