"""`/admin/compose`: a test mail from an account, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quart import Response

from engine.api import account as accounts
from engine.api import outbox, submit
from engine.errors import Problem
from engine.schema.submit_checks import SubmitCheck
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit
from engine.web.webhook_fields import fault

PATH = "/admin/compose"
OFFERED = 100
"""At most this many accounts are offered by name; any other id can be typed."""
LONGEST_FORM = 256 * 1024
_OF_ACCOUNT = (404, 409, 503)
"""Answers that are about the account: it is not there, or it may not send now."""


@page(PATH, role=Role.OPERATOR, menu=Menu("main", 25))
async def compose(visit: Visit) -> Response:
    """The form; after sending, what became of the message `sent`."""
    sent: Any = None
    if visit.query.get("sent"):
        try:
            sent = await visit.ask(outbox.read, visit.query["sent"])
        except Problem as problem:
            if problem.status != 404:
                raise
    return await _shown(visit, sent=sent)


@action(PATH, role=Role.OPERATOR, longest_form=LONGEST_FORM)
async def send(visit: Visit) -> Response:
    """Submit the mail, or only check it."""
    form = visit.form
    to = [each.strip() for each in form.get("to", "").replace(";", ",").split(",") if each.strip()]
    body: dict[str, Any] = {
        "to": [{"address": each} for each in to],
        "text": form.get("text", "").replace("\r\n", "\n"),
    }
    if form.get("subject"):
        body["subject"] = form["subject"]
    account = form.get("account", "").strip()
    if not account or not to:
        name = "to" if account else "account"
        return await _shown(visit, errors={name: visit.text(f"compose.no_{name}")})
    only_check = bool(form.get("check"))
    try:
        done: Any = await visit.ask(submit.submit, account, body={**body, "dryRun": only_check})
    except Problem as problem:
        if problem.status in _OF_ACCOUNT:
            return await _shown(visit, errors={"account": problem.message})
        return await _shown(visit, errors=visit.faults(problem))
    if only_check:
        return await _shown(visit, checks=getattr(done, "checks", ()))
    return visit.to(PATH, query={"sent": done.queue_id, "account": account})


async def _shown(
    visit: Visit,
    *,
    errors: Mapping[str, str] | None = None,
    sent: object = None,
    checks: Sequence[SubmitCheck] | None = None,
) -> Response:
    form, errors = visit.form, errors or {}
    listed = await visit.ask(accounts.listing, query={"pageSize": OFFERED})
    only = listed.accounts[0].account if listed.total == 1 else ""
    wrong = {name: fault(errors, name) for name in ("account", "to", "subject", "text")}
    return visit.show(
        status=422 if errors else 200,
        sent=sent,
        checks=checks,
        offered=listed.accounts,
        given={
            "account": form.get("account", visit.query.get("account", only)),
            "to": form.get("to", ""),
            "subject": form.get("subject", visit.text("compose.first_subject")),
            "text": form.get("text", visit.text("compose.first_text")),
        },
        wrong=wrong,
        faults=[message for message in errors.values() if message not in wrong.values()],
    )
