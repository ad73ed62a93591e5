"""`/admin/outbox/{queue_id}`: one message of the outbox: what it waits for, what happened, and what can be done."""

from __future__ import annotations

from datetime import timedelta

from quart import Response

from engine.api import outbox as api
from engine.api import timeline as timeline_api
from engine.isotime import iso
from engine.schema.outbox import OutboxEntry, OutboxRecipient, OutboxUpdated
from engine.schema.timeline import RefusedRecipient, TimelineEntry
from engine.web.layout import path
from engine.web.page import action, page
from engine.web.pages.outbox import KINDS, PATH
from engine.web.roles import Role
from engine.web.visit import Visit

ONE = PATH + "/{}"
ON_A_PAGE = 50
"""Entries of the timeline."""
MOST_RECIPIENTS, MOST_LINES, MOST_NAMED = 100, 40, 3
"""How much of a message is shown; the API has all of it."""
UNITS = {"minutes": 60, "hours": 3600, "days": 86_400}
LONGEST_DAYS = 3650
_OF_ACCOUNT = ("login", "connection", "smtp", "rateLimit", "quota", "paused")
_WORST = ("in_doubt", "failed", "bounced", "held", "deferred", "sending", "queued", "cancelled", "sent")
_LOOKS = {
    **dict.fromkeys(("accepted", "sent", "copyFiled", "reply"), "g"),
    **dict.fromkeys(("deliveryError", "deliveryReport", "held", "notSent", "copyFailed", "unsubscribe"), "w"),
    **dict.fromkeys(("inDoubt", "failed", "bounce", "complaint"), "b"),
}
"""How the entries of a timeline look; others have no colour."""
_OUTCOMES = {"accepted": "g", "later": "w", "rejected": "b", "login_refused": "b", "doubt": "b"}


@page(PATH + "/{queue_id}", role=Role.READER, under="outbox")
async def message(visit: Visit, queue_id: str) -> Response:
    """The page."""
    return await _shown(visit, queue_id)


async def _shown(visit: Visit, queue_id: str, errors: dict[str, str] | None = None) -> Response:
    found = await visit.ask(api.read, queue_id)
    waits = found.waiting_for or None
    recipients = sorted(found.recipients or (), key=lambda each: _WORST.index(each.state))
    timeline = await visit.ask(
        timeline_api.read, queue_id, query={"page": visit.query.get("page"), "pageSize": ON_A_PAGE}
    )
    return visit.show(
        status=422 if errors else 200,
        message=found,
        waits=waits,
        way_out=_way_out(found),
        recipients=recipients[:MOST_RECIPIENTS],
        more_recipients=len(recipients) - MOST_RECIPIENTS,
        counts=_counts(recipients),
        timeline=timeline,
        happened=[
            (_looks(each), each, each.attempt or None, _seconds(each), *_concerned(each)) for each in timeline.entries
        ],
        most_named=MOST_NAMED,
        most_lines=MOST_LINES,
        kinds=KINDS,
        errors=errors or {},
        units=list(UNITS),
        is_open=not found.ended,
        # A message that is being sent cannot be changed; for one in doubt, only the doubt can be decided.
        may_move=not found.ended and found.state not in ("sending", "in_doubt"),
        decides=found.state == "in_doubt",
    )


@action(PATH + "/{queue_id}/send-now", role=Role.OPERATOR)
async def send_now(visit: Visit, queue_id: str) -> Response:
    """Send it at once, whatever it waits for."""
    return _said(visit, queue_id, await visit.ask(api.update, queue_id, body={"sendNow": True}), "sent_now")


@action(PATH + "/{queue_id}/move", role=Role.OPERATOR)
async def move(visit: Visit, queue_id: str) -> Response:
    """Move it to a time relative to now: without script, the zone of a time of day is unknown."""
    amount, unit = visit.form.get("amount", "").strip(), UNITS.get(visit.form.get("unit", ""))
    if not (amount.isascii() and amount.isdigit() and len(amount) <= 9) or unit is None:
        return await _shown(visit, queue_id, {"amount": str(visit.text("message.amount_wrong"))})
    later = int(amount) * unit
    if later > timedelta(days=LONGEST_DAYS).total_seconds():
        return await _shown(visit, queue_id, {"amount": str(visit.text("message.amount_long", most=LONGEST_DAYS))})
    body = {"sendAt": iso(visit.context.world.now() + later)}
    return _said(visit, queue_id, await visit.ask(api.update, queue_id, body=body), "moved")


@action(PATH + "/{queue_id}/decide", role=Role.OPERATOR)
async def decide(visit: Visit, queue_id: str) -> Response:
    """Say what to do about a doubt, now or later."""
    choice = visit.form.get("choice", "")
    answer = await visit.ask(api.update, queue_id, body={"onDoubt": choice})
    return _said(visit, queue_id, answer, f"decided_{choice}")


@action(PATH + "/{queue_id}/cancel", role=Role.OPERATOR)
async def cancel(visit: Visit, queue_id: str) -> Response:
    """Cancel it."""
    answer = await visit.ask(api.cancel, queue_id)
    if not answer.deleted:
        return visit.to(ONE, queue_id, say="message.not_done", reason=str(answer.reason or ""))
    count = len(answer.already_sent or ())
    return visit.to(ONE, queue_id, say="message.cancelled_some" if count else "message.cancelled", count=count)


def _said(visit: Visit, queue_id: str, answer: OutboxUpdated, say: str) -> Response:
    if not answer.updated:
        return visit.to(ONE, queue_id, say="message.not_done", reason=str(answer.reason or ""))
    return visit.to(ONE, queue_id, say=f"message.{say}")


def _way_out(found: OutboxEntry) -> tuple[str, str] | None:
    """Where to remove what keeps it waiting: a path, and the key of its text."""
    if not found.waiting_for:
        return None
    if found.waiting_for.kind == "gateway" or (found.gateway and found.waiting_for.kind in ("login", "connection")):
        return path("/admin/settings/gateways/{}", found.gateway or ""), "message.to_gateway"
    if found.waiting_for.kind in _OF_ACCOUNT:
        return path("/admin/accounts/{}", found.account), "message.to_account"
    return None


def _counts(recipients: list[OutboxRecipient]) -> list[tuple[str, int]]:
    """How many recipients are in which state, the worst first."""
    states = [each.state for each in recipients]
    return [(state, states.count(state)) for state in _WORST if state in states]


def _concerned(entry: TimelineEntry) -> tuple[list[str], tuple[RefusedRecipient, ...]]:
    """Whom an entry concerns, without those of a failed attempt who were refused for good; and these.

    The words of such an entry are about those who are tried again, if there are any.
    """
    whom = list(entry.recipients or ())
    if entry.type != "deliveryError":
        return whom, ()
    refused = entry.rejected or ()
    gone = {each.address for each in refused}
    waiting = [each for each in whom if each not in gone]
    return (waiting, refused) if waiting else (whom, ())


def _looks(entry: TimelineEntry) -> str:
    attempt = entry.attempt
    if not attempt:
        return _LOOKS.get(entry.type, "")
    refused = [line for line in (attempt.replies or {}).values() if not line.startswith("2")]
    if attempt.outcome == "accepted" and refused:
        return "w"
    return _OUTCOMES.get(attempt.outcome or "", "")


def _seconds(entry: TimelineEntry) -> str:
    """How long an attempt took, as the stages say; "" if they do not."""
    timings = (entry.attempt.timings if entry.attempt else None) or {}
    return f"{sum(timings.values()) / 1000:.1f}" if timings else ""
