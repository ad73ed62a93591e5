"""`/admin`: what needs attention, then the figures of the last 24 hours."""

from __future__ import annotations

import msgspec
from quart import Response

from engine.api import queue_control, stats, webhooks
from engine.errors import Problem
from engine.isotime import iso
from engine.schema.stats import Delivery, DeliveryCounts, DomainDelivery
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
DOMAINS = 6
"""The most domains that the page shows."""
ENOUGH, DROP = 20, 5
"""Recipients below which a share says little, and by how many percent points it must fall to be marked."""
DAY = 86_400.0
_QUEUES = ("submit", "notify")


class Figure(msgspec.Struct, frozen=True):
    """One number of the last 24 hours, and its hours."""

    name: str
    total: int
    values: list[int]
    kind: str


class Domain(msgspec.Struct, frozen=True):
    """How mail to one domain fared. `share` and `before`: percent that arrived, now and in the week before.

    `drops`: clearly less arrives.
    """

    counts: DomainDelivery
    lost: int
    share: int | None
    before: int | None
    drops: bool


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
    earlier = await visit.ask(stats.read, query={"seconds": 0, **_week_before(visit.context.world.now())})
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
        domains=_domains(counted.delivery, earlier.delivery),
    )


def _week_before(now: float) -> dict[str, str]:
    """The span of a week that ends where the last 24 hours begin."""
    return {"from": iso(now - 8 * DAY), "to": iso(now - DAY)}


def _domains(delivery: Delivery | None, earlier: Delivery | None) -> list[Domain]:
    """The largest domains of the last 24 hours; first those to which less arrives than in the week before."""
    before = {each.domain: each for each in (() if earlier is None else earlier.domains)}
    found = [_domain(each, before.get(each.domain)) for each in (() if delivery is None else delivery.domains)]
    return sorted(found, key=lambda each: not each.drops)[:DOMAINS]


def _domain(counts: DomainDelivery, earlier: DomainDelivery | None) -> Domain:
    now, before = _share(counts), None if earlier is None else _share(earlier)
    drops = now is not None and before is not None and _tried(counts) >= ENOUGH and now < before - DROP
    if earlier is not None and _tried(earlier) < ENOUGH:
        drops = False
    return Domain(counts, counts.failed + counts.bounced, now, before, drops)


def _tried(counts: DeliveryCounts) -> int:
    return counts.sent + counts.failed


def _share(counts: DeliveryCounts) -> int | None:
    """Percent that arrived, as far as is known; None if nothing was decided."""
    tried = _tried(counts)
    return max(0, 100 * (counts.sent - counts.bounced) // tried) if tried else None


@action("/admin/resume", role=Role.OPERATOR)
async def resume(visit: Visit) -> Response:
    """Resume a paused queue. Raises `Problem` 400."""
    name = visit.form.get("queue", "")
    if name not in _QUEUES:
        raise Problem(400, "There is no such queue")
    await visit.ask(queue_control.update, name, body={"paused": False})
    return visit.to(ROOT, say=f"home.resumed_{name}")
