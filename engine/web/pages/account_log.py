"""`/admin/accounts/{account}/log`: the end of an account's protocol log, while it grows."""

from __future__ import annotations

import msgspec
from quart import Response

from engine.api import account as api
from engine.api import account_actions
from engine.web.page import page
from engine.web.pages.accounts import PATH
from engine.web.roles import Role
from engine.web.visit import Visit

SHOWN = 200
"""Lines shown; the API has the whole log."""
LONGEST = 300
"""Characters of a line."""


class Line(msgspec.Struct, frozen=True):
    """One line of the log. `time` is in milliseconds; `src` is `c`, `s`, or `""` for a note."""

    msg: str
    time: int = 0
    src: str = ""
    cid: str = ""


@page(PATH + "/{account}/log", role=Role.READER, under="accounts")
async def log(visit: Visit, account: str) -> Response:
    """The page."""
    found = await visit.ask(api.read, account)
    answer = await visit.ask(account_actions.logs, account, query={"lines": SHOWN})
    text = bytes(await answer.get_data(as_text=False))
    lines = [msgspec.json.decode(line, type=Line) for line in text.splitlines()]
    before = lines.pop(0) if lines and not lines[0].time else None
    return visit.show(
        account=found,
        lines=lines,
        is_cut=before is not None,
        longest=LONGEST,
        signs={"c": "→", "s": "←"},
        shown=SHOWN,
    )
