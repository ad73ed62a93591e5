"""`/admin/settings/webhooks`: the webhook of the settings, what happened to its events, and the other endpoints."""

from __future__ import annotations

from typing import Any

from quart import Response

from engine.api import settings
from engine.api import webhooks as api
from engine.errors import Problem
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit
from engine.web.webhook_fields import ALL, chosen_events, event_groups, fault, headers_of, lines_of, same_lines

PATH = "/admin/settings/webhooks"
PARKED = 5
"""At most this many parked events are shown one by one."""
_ASKED = ("webhooks", "webhooksEnabled", "webhookEvents", "webhooksCustomHeaders", "serviceSecret")


@page(PATH, role=Role.READER, menu=Menu("settings", 10))
async def webhooks(visit: Visit) -> Response:
    """The page."""
    return await overview(visit)


@action(PATH, role=Role.OPERATOR)
async def save(visit: Visit) -> Response:
    """Change the webhook of the settings. The secret that the engine makes for the first one is shown once."""
    form = visit.form
    body: dict[str, Any] = {
        "webhooks": form.get("webhooks", "").strip(),
        "webhooksEnabled": form.get("enabled") == "on",
        "webhookEvents": chosen_events(visit),
    }
    kept = await visit.ask(settings.read, query={"webhooksCustomHeaders": "true"})
    if not same_lines(lines_of(kept.webhooks_custom_headers or ()), form.get("headers", "")):
        body["webhooksCustomHeaders"] = headers_of(form.get("headers", ""))
    try:
        changed = await visit.ask(settings.update, body=body)
    except Problem as problem:
        return await overview(visit, errors=visit.faults(problem))
    if changed.service_secret:
        return await overview(visit, secret=changed.service_secret)
    return visit.to(PATH, say="webhooks.saved")


@action(PATH + "/secret", role=Role.OWNER)
async def renew_secret(visit: Visit) -> Response:
    """Replace the secret that signs, and show the new one once."""
    changed = await visit.ask(settings.update, body={"serviceSecret": None})
    return await overview(visit, secret=changed.service_secret or "")


async def overview(
    visit: Visit, *, errors: dict[str, str] | None = None, secret: str = "", tested: object = None
) -> Response:
    """The page, after an action too: with what is wrong with the form, the new secret, or the answer to a test."""
    form = visit.form
    values = await visit.ask(settings.read, query=dict.fromkeys(_ASKED, "true"))
    listed = await visit.ask(api.listing, query={"page": visit.query.get("page") or None, "pageSize": 50})
    hook = await visit.ask(api.read, "default")
    errors = errors or {}
    wrong = {
        "webhooks": fault(errors, "webhooks"),
        "events": fault(errors, "webhookEvents"),
        "headers": fault(errors, "webhooksCustomHeaders"),
    }
    # The first URL gets all events, unless told otherwise.
    is_first = not values.webhooks and not values.webhook_events
    events = chosen_events(visit) if errors else [ALL] if is_first else list(values.webhook_events or ())
    return visit.show(
        status=422 if errors else 200,
        here=PATH,
        hook=hook,
        parked=await visit.ask(api.parked, "default", query={"pageSize": PARKED}),
        tested=tested,
        secret=secret,
        others=[each for each in listed.webhooks if each.id != "default"],
        listed=listed,
        url=form.get("webhooks", "") if errors else values.webhooks or "",
        enabled=form.get("enabled") == "on" if errors else values.webhooks_enabled is True or is_first,
        events=events,
        groups=event_groups(events),
        headers=form.get("headers", "") if errors else lines_of(values.webhooks_custom_headers or ()),
        has_secret=bool(values.service_secret),
        wrong=wrong,
        faults=[message for message in errors.values() if message not in wrong.values()],
        template="webhooks.html",
    )
