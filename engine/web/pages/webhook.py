"""`/admin/settings/webhooks/{webhook}`: one endpoint, its filter and map tried on a real event; tests and replays."""

from __future__ import annotations

from typing import Any

import msgspec
from quart import Response

from engine.api import events, webhook_tries
from engine.api import webhooks as api
from engine.errors import Problem
from engine.isotime import iso
from engine.schema.webhooks import WebhookInfo
from engine.web.layout import path
from engine.web.page import action, page
from engine.web.pages.webhooks import PARKED, PATH, overview
from engine.web.roles import Role
from engine.web.visit import Visit
from engine.web.webhook_fields import (
    ALL,
    chosen_events,
    event_groups,
    fault,
    headers_of,
    lines_of,
    of_form,
    same_lines,
)
from engine.webhooks import signing

NEW = "new"
DEFAULT = "default"
TO_TRY = 50
"""At most this many of the newest events can be chosen for trying the expressions."""
_NEWEST = 2**53
_SPANS = {"hour": 3600.0, "day": 86_400.0, "week": 7 * 86_400.0}
_FIELDS = {"url", "description", "events", "accounts", "headers", "filter", "map"}


@page(PATH + "/{webhook}", role=Role.READER, under="webhooks")
async def webhook(visit: Visit, webhook: str) -> Response:
    """The endpoint; `new` is the form for another, `default` that of the settings."""
    if webhook == DEFAULT:
        return visit.to(PATH)
    return await _shown(visit, webhook)


@action(PATH + "/{webhook}", role=Role.OPERATOR)
async def save(visit: Visit, webhook: str) -> Response:
    """Create or change an endpoint. The secret of a new one is shown once."""
    form = visit.form
    body: dict[str, Any] = {**_expressions(visit), "enabled": form.get("enabled") == "on"}
    body |= {"url": form.get("url", "").strip(), "description": form.get("description", "").strip()}
    ticked = chosen_events(visit)
    body["events"] = None if ticked == [ALL] else ticked
    body["accounts"] = [name.strip() for name in form.get("accounts", "").splitlines() if name.strip()] or None
    before = None if webhook == NEW else await visit.ask(api.read, webhook)
    if before is None or not same_lines(lines_of(before.headers), form.get("headers", "")):
        body["headers"] = headers_of(form.get("headers", ""))
    try:
        if before is None:
            made = await visit.ask(api.create, body=body)
            return await _shown(visit, made.id, secret=made.secrets[0] if made.secrets else "")
        await visit.ask(api.update, webhook, body=body)
    except Problem as problem:
        return await _shown(visit, webhook, errors=visit.faults(problem))
    return visit.to(PATH + "/{}", webhook, say="webhook.saved")


@action(PATH + "/{webhook}/try", role=Role.OPERATOR)
async def try_it(visit: Visit, webhook: str) -> Response:
    """Apply the filter and the map in the form to the event chosen there. Nothing is saved."""
    seq = visit.form.get("seq", "")
    if not seq.isdecimal():
        return await _shown(visit, webhook, typed=True)
    try:
        tried = await visit.ask(webhook_tries.try_expressions, body={"seq": int(seq[:16]), **_expressions(visit)})
    except Problem as problem:
        if problem.status == 404:
            return await _shown(visit, webhook, typed=True, errors={"seq": problem.message})
        return await _shown(visit, webhook, typed=True, errors=visit.faults(problem))
    return await _shown(visit, webhook, typed=True, tried=tried)


@action(PATH + "/{webhook}/test", role=Role.OPERATOR)
async def test(visit: Visit, webhook: str) -> Response:
    """Post a test event and show the answer."""
    tested = await visit.ask(api.test, webhook)
    return await (overview(visit, tested=tested) if webhook == DEFAULT else _shown(visit, webhook, tested=tested))


@action(PATH + "/{webhook}/parked", role=Role.OPERATOR)
async def settle(visit: Visit, webhook: str) -> Response:
    """Post parked events again, or drop them: one, or all."""
    form = visit.form
    what = "skip" if form.get("action") == "skip" else "retry"
    body: dict[str, Any] = {"action": what}
    if form.get("seq", "").isdecimal():
        body["seqs"] = [int(form["seq"][:16])]
    done = await visit.ask(api.settle, webhook, body=body)
    return visit.to(PATH + "/{}", webhook, say=f"webhook.settled_{what}", count=done.events)


@action(PATH + "/{webhook}/replay", role=Role.OPERATOR)
async def replay(visit: Visit, webhook: str) -> Response:
    """Post past events again, to the endpoint or to another URL."""
    span = _SPANS.get(visit.form.get("span", ""))
    body: dict[str, Any] = {"after": 0}
    if span is not None:
        body = {"since": iso(visit.context.world.now() - span)}
    other = visit.form.get("url", "").strip()
    begun = await visit.ask(api.replay, webhook, body=body | ({"url": other} if other else {}))
    return visit.to(PATH + "/{}", begun.id, say="webhook.replaying")


@action(PATH + "/{webhook}/secret", role=Role.OWNER)
async def renew_secret(visit: Visit, webhook: str) -> Response:
    """Replace the secrets that sign by a new one, and show it once."""
    made = signing.secret_of(visit.context.world.token_bytes(signing.KEY_BYTES))
    await visit.ask(api.update, webhook, body={"secrets": [made]})
    return await _shown(visit, webhook, secret=made)


@action(PATH + "/{webhook}/remove", role=Role.OPERATOR)
async def remove(visit: Visit, webhook: str) -> Response:
    """Remove an endpoint."""
    await visit.ask(api.remove, webhook)
    return visit.to(PATH, say="webhook.removed")


def _expressions(visit: Visit) -> dict[str, Any]:
    return of_form(visit, "filter", "map")


class _Choice(msgspec.Struct, frozen=True):
    """One of the newest events, to try expressions on."""

    seq: int
    event: str
    account: str | None
    date: str


class _Page(msgspec.Struct, frozen=True):
    events: list[_Choice]


async def _shown(
    visit: Visit,
    webhook: str,
    *,
    errors: dict[str, str] | None = None,
    typed: bool = False,
    secret: str = "",
    tested: object = None,
    tried: object = None,
) -> Response:
    form, errors = visit.form, errors or {}
    is_new = webhook == NEW
    hook: WebhookInfo | None = None if is_new else await visit.ask(api.read, webhook)
    typed = typed or bool(errors)
    given: dict[str, Any]
    if typed or hook is None:
        given = {name: form.get(name, "") for name in ("url", "description", "accounts", "headers", "filter", "map")}
        given |= {"enabled": form.get("enabled") == "on" if typed else True}
        given |= {"events": chosen_events(visit) if typed else [ALL]}
    else:
        given = {"url": hook.url or "", "description": hook.description, "enabled": hook.enabled}
        given |= {"accounts": "\n".join(hook.accounts or ()), "headers": lines_of(hook.headers)}
        given |= {"filter": hook.filter or "", "map": hook.map or ""}
        given |= {"events": [ALL] if hook.events is None else list(hook.events)}
    newest = await visit.ask(events.page, query={"before": _NEWEST, "limit": TO_TRY})
    wrong = {name: fault(errors, name) for name in _FIELDS}
    seq = form.get("seq", "")
    return visit.show(
        status=422 if errors and tried is None and not visit.is_refresh and "seq" not in errors else 200,
        here=path(PATH + "/{}", webhook),
        id=webhook,
        hook=hook,
        parked=None if is_new else await visit.ask(api.parked, webhook, query={"pageSize": PARKED}),
        given=given,
        groups=event_groups(given["events"]),
        to_try=msgspec.convert(newest, _Page, strict=False).events,
        seq=int(seq[:16]) if seq.isdecimal() else 0,
        tried=tried,
        tested=tested,
        secret=secret,
        wrong=wrong,
        faults=[message for message in errors.values() if message not in wrong.values()],
    )
