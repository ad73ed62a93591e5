"""The outbox: the messages, what happened to them, and what callers may do with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine.api.context import Context
from engine.edge.client_disconnect import carry_through
from engine.errors import DamagedSecret, Problem
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.isotime import iso, iso_or_none
from engine.masking import MASK
from engine.model.message import Message, OnDoubt, Recipient
from engine.model.message_states import ENDED, State
from engine.queue.outbox import UNKNOWN, Cancelled, TooLate
from engine.queue.waiting import waiting_for
from engine.schema.explain import Explain
from engine.schema.outbox import (
    DeliveryFault,
    EnvelopeShown,
    OutboxAttempt,
    OutboxDeleted,
    OutboxEntry,
    OutboxPage,
    OutboxQuery,
    OutboxRecipient,
    OutboxUpdate,
    OutboxUpdated,
    Progress,
    QueueId,
    WaitingFor,
)
from engine.schema.stored_json import shown
from engine.smtp.explanation import explanation
from engine.store import attempts, bounces, idempotency_keys, messages, outbox
from engine.store.attempts import Attempt
from engine.store.bounces import Bounce
from engine.store.tokens import Token
from engine.submission.terms import due_at
from engine.webhooks.target import masked

_TAGS = ("Outbox",)
_EXPLAINED = 100
"""The most recipients of a message whose replies are explained."""
_REFUSAL = re.compile(r"\s*[45]\d\d(?!\d)", re.ASCII)


@operation("GET", "/v1/outbox", access=Access.QUERY, scope="api", group="outbox", tags=_TAGS)
async def listing(context: Context, query: OutboxQuery) -> OutboxPage:
    """List messages."""
    db = context.store.reader
    total, found = outbox.page(
        db,
        account=query.account,
        state=query.state,
        ended=query.state is not None and State(query.state) in ENDED,
        recipient=query.recipient,
        first=query.page * query.page_size,
        limit=query.page_size,
    )
    recipients = outbox.recipients(db, found)
    entries = tuple(_entry(context, message, recipients[message.id]) for message in found)
    return OutboxPage(**paging.numbers(total, query), messages=entries)


@operation("GET", "/v1/outbox/{queueId}", access=Access.HANDLER, scope="api", group="outbox", tags=_TAGS)
async def read(context: Context, queue_id: QueueId, *, caller: Token | None = None) -> OutboxEntry:
    """Read a message.

    The answer shows each recipient, each attempt, and what the message waits for. A message can be read until the
    engine removes its record, even after it has ended.
    """
    db = context.store.reader
    message = visible(context, queue_id, caller)
    if message is None:
        raise _not_found()
    recipients = messages.recipients(db, message.id)
    came_back = bounces.of_message(db, message.id)
    refused = count(1)
    return replace(
        _entry(context, message, recipients),
        idempotency_key=idempotency_keys.of_message(db, message.id) or UNSET,
        recipients=tuple(
            _recipient(message, each, came_back.get(each.address.lower()), refused) for each in recipients
        ),
        waiting_for=_waiting_for(context, message),
        attempt_log=tuple(attempt_shown(each) for each in attempts.of_message(db, message.id)),
    )


@operation("DELETE", "/v1/outbox/{queueId}", access=Access.HANDLER, scope="api", group="outbox", tags=_TAGS)
async def cancel(context: Context, queue_id: QueueId, *, caller: Token | None = None) -> OutboxDeleted:
    """Cancel a message.

    If the message is unknown, or it is too late, that is not an error: the answer says `"deleted": false`.
    """
    outcome: Cancelled | TooLate = UNKNOWN
    if visible(context, queue_id, caller) is not None:
        outcome = await carry_through(context.outbox.cancel(queue_id))
    if isinstance(outcome, TooLate):
        return OutboxDeleted(deleted=False, reason=outcome.reason)
    return OutboxDeleted(deleted=True, already_sent=outcome.already_sent or UNSET)


@operation("PUT", "/v1/outbox/{queueId}", access=Access.HANDLER, scope="api", group="outbox", action="send", tags=_TAGS)
async def update(
    context: Context, queue_id: QueueId, body: OutboxUpdate, *, caller: Token | None = None
) -> OutboxUpdated:
    """Change a message.

    Send it now, reschedule it, or decide a doubt about it. If it is too late, the answer is `{"updated": false,
    "reason": "It was sent already"}`.
    """
    queue = context.outbox
    if visible(context, queue_id, caller) is None:
        raise _not_found()
    if body.on_doubt is not UNSET:
        outcome = await carry_through(queue.choose_on_doubt(queue_id, OnDoubt(body.on_doubt)))
    else:
        send_at = None
        if body.send_at is not UNSET:
            send_at = due_at(body.send_at, context.world.now())
        outcome = await carry_through(queue.move(queue_id, send_at))
    if outcome == UNKNOWN:
        raise _not_found()
    return OutboxUpdated(updated=outcome is None, reason=UNSET if outcome is None else outcome.reason)


def visible(context: Context, queue_id: str, caller: Token | None) -> Message | None:
    """The message; None if there is none, or if the caller's token is for another account."""
    message = messages.by_queue_id(context.store.reader, queue_id)
    if message is not None and caller is not None and caller.account not in (None, message.account):
        return None
    return message


def _not_found() -> Problem:
    return Problem(404, "Requested queue entry was not found")


def _entry(context: Context, message: Message, recipients: list[Recipient]) -> OutboxEntry:
    """The members that a list and a single entry share."""
    return OutboxEntry(
        account=message.account,
        queue_id=message.queue_id,
        gateway=message.gateway,
        message_id=message.message_id,
        proxy=_proxy(context, message),
        local_address=message.local_address or UNSET,
        envelope=EnvelopeShown(sender=message.sender, to=tuple(each.address for each in recipients)),
        subject=message.subject,
        created=iso(message.created),
        progress=_progress(message, recipients),
        attempts_made=message.attempts_made,
        attempts=message.attempts_max,
        scheduled=iso(message.send_at),
        next_attempt=iso(message.next_at) if message.next_at is not None else False,
        state=message.state.value,
        on_doubt=message.on_doubt.value,
        in_doubt_since=UNSET if message.doubt_since is None else iso(message.doubt_since),
        ended=UNSET if message.ended is None else iso(message.ended),
    )


def _proxy(context: Context, message: Message) -> str | UnsetType:
    """A message's own proxy for display: without its login, or as a mask if it cannot be read."""
    try:
        url = context.access.routes.proxy_url(message)
    except DamagedSecret:
        return MASK
    return UNSET if url is None else masked(url, MASK)


def _progress(message: Message, recipients: list[Recipient]) -> Progress:
    if message.state is State.SENT:
        said = [each.response for each in recipients if each.state == State.SENT and each.response is not None]
        return Progress(status="submitted", response=said[0] if said else UNSET, message_id=message.message_id)
    if message.state is State.SENDING:
        return Progress(status="smtp-starting" if message.dot_at is not None else "processing")
    if message.last_error is not None:
        return Progress(status="error", error=shown(DeliveryFault, message.last_error), network_routing=None)
    return Progress(status="queued")


def _recipient(
    message: Message, recipient: Recipient, bounce: Bounce | None, refused: Iterator[int]
) -> OutboxRecipient:
    """`refused` counts the recipients that were refused."""
    if bounce is not None and bounce.action == "failed" and recipient.state == State.SENT:
        said = bounce.response or bounce.status or ""
        told = said != "" and next(refused) <= _EXPLAINED
        return OutboxRecipient(
            address=recipient.address,
            state="bounced",
            response=said,
            explain=_explain(bounce.response or "", status=bounce.status or "") if told else UNSET,
        )
    told = recipient.code is not None and recipient.code >= 400 and next(refused) <= _EXPLAINED
    sending = message.state == State.SENDING and recipient.state in (State.QUEUED, State.DEFERRED)
    return OutboxRecipient(
        address=recipient.address,
        state=State.SENDING.value if sending else recipient.state.value,
        code=UNSET if recipient.code is None else recipient.code,
        response=UNSET if recipient.response is None else recipient.response,
        explain=_explain(recipient.response or "", code=recipient.code) if told else UNSET,
    )


def attempt_shown(attempt: Attempt) -> OutboxAttempt:
    """An attempt for display."""
    said: dict[str, Any] = {
        **attempt.report,
        "number": attempt.number,
        "started": iso(attempt.started),
        "ended": iso_or_none(attempt.ended),
    }
    if "timings" in said:
        said["timings"] = {stage: round(seconds * 1000) for stage, seconds in said["timings"].items()}
    refusal = _refusal(said)
    explain = UNSET if refusal is None else _explain(refusal, login=said.get("errorCode") == "EAUTH")
    return replace(shown(OutboxAttempt, said), explain=explain)


def _refusal(report: dict[str, Any]) -> str | None:
    """The reply that an attempt's report is best explained by; None if no server refused anything."""
    replies = (report.get("response", ""), *report.get("replies", {}).values())
    return next((each for each in replies if _REFUSAL.match(each)), None)


def _explain(reply: str, *, code: int | None = None, status: str = "", login: bool = False) -> Explain:
    return shown(Explain, explanation(reply, code=code, status=status, login=login).members())


def _waiting_for(context: Context, message: Message) -> WaitingFor | None:
    account = context.registry.get(message.account)
    of_lane = None if account is None else account.mail_waits_for
    if message.gateway is not None:
        of_lane = partial(context.gateways.mail_waits_for, message)
    found = waiting_for(message, of_lane, context.world.now())
    if found is None:
        return None
    return WaitingFor(kind=found.kind, since=iso(found.since), until=iso_or_none(found.until), remedy=found.remedy)
