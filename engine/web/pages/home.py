"""`/admin`: what needs attention, then the figures of the last 24 hours."""

from __future__ import annotations

import msgspec
from quart import Response

from engine.api import queue_control, stats, webhooks
from engine.errors import Problem
from engine.web.attention import needs
from engine.web.page import ROOT, Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

_FIGURES = (
    ("sent", ("messageSent",), "accent"),
    ("deferred", ("messageDeliveryError",), "warn"),
    ("failed", ("messageFailed", "messageBounce"), "bad"),
    ("received", ("messageNew",), "accent"),
)
_QUEUES = ("submit", "notify")


class Figure(msgspec.Struct, frozen=True):
    """One number of the last 24 hours, and its hours."""

    name: str
    total: int
    values: list[int]
    kind: str


@page(ROOT, role=Role.READER, menu=Menu("main", 0, phone=True))
async def home(visit: Visit) -> Response:
    """The page."""
    found = await needs(visit)
    counted = await visit.ask(stats.read, query={"seconds": 0})
    listed = await visit.ask(webhooks.listing, query={"pageSize": 1000})
    endpoints = visit.context.webhooks
    waits = endpoints.waits.last_day(endpoints.waiting_since())
    hours = await visit.hourly.last_day()
    figures = []
    for name, events, kind in _FIGURES:
        values = [sum(counts.get(event, 0) for event in events) for _, counts in hours]
        figures.append(Figure(name, sum(values), values, kind))
    visit.needed = sum(each.count for each in found)
    return visit.show(
        needs=found,
        count=visit.needed,
        accounts=counted.accounts,
        connected=counted.connections.get("connected", 0),
        under_way=counted.queues.submit.total,
        waits=waits,
        longest_wait=max(waits),
        waiting=max((each.behind for each in listed.webhooks if each.enabled and each.url), default=0),
        figures=figures,
        times=[begin for begin, _ in hours],
    )


@action("/admin/resume", role=Role.OPERATOR)
async def resume(visit: Visit) -> Response:
    """Resume a paused queue. Raises `Problem` 400."""
    name = visit.form.get("queue", "")
    if name not in _QUEUES:
        raise Problem(400, "There is no such queue")
    await visit.ask(queue_control.update, name, body={"paused": False})
    return visit.to(ROOT, say=f"home.resumed_{name}")
