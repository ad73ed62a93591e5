"""`/admin/events`: the events, newest first, updated live; of all accounts or one, of all names or one."""

from __future__ import annotations

from typing import Any

import msgspec
from quart import Response

from engine.api import events as api
from engine.schema.events import EVENT_DATA
from engine.web.page import Menu, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/events"
NEWEST = 2**53
SHOWN = 30
LONGEST_ACCOUNT = 256
_TELLING = (
    ("subject", "recipient", "error", "description", "response", "user", "path", "reason", "url", "messageId"),
    ("queueId", "email", "webhook", "exportId"),
)
_MOST_TOLD = 2
_LONGEST_GIST = 160


class Row(msgspec.Struct, frozen=True):
    """One event in the list. `gist` holds the most telling values of its data."""

    seq: int
    event: str
    account: str
    date: str
    gist: str


@page(PATH, role=Role.READER, menu=Menu("main", 30, phone=True))
async def events(visit: Visit) -> Response:
    """One page of the list; `before` is the number below which it begins."""
    query = visit.query
    account = query.get("account", "").strip()[:LONGEST_ACCOUNT]
    name = query.get("event", "") if query.get("event") in EVENT_DATA else ""
    before = query.get("before", "")
    begin = max(1, min(int(before[:16]), NEWEST)) if before.isdecimal() else None
    asked = {"before": begin or NEWEST, "limit": SHOWN, "account": account or None, "events": name or None}
    found: Any = await visit.ask(api.page, query=asked)
    return visit.show(
        rows=[_row(each) for each in found["events"]],
        account=account,
        name=name,
        names=sorted(EVENT_DATA),
        is_newest=begin is None,
        further=found["next"] if found["next"] > max(found["first"], 1) else None,
        last=found["last"],
        first=found["first"],
    )


def _row(event: dict[str, Any]) -> Row:
    return Row(event["seq"], event["event"], event.get("account") or "", event["date"], gist_of(event.get("data")))


def gist_of(data: object) -> str:
    """What an event is about, in a line; empty if nothing tells."""
    if not isinstance(data, dict):
        return ""
    told = [str(data[name]) for names in _TELLING for name in names if isinstance(data.get(name), str) and data[name]]
    line = " · ".join(told[:_MOST_TOLD])
    return line if len(line) <= _LONGEST_GIST else f"{line[:_LONGEST_GIST]}…"
