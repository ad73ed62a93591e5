"""The outbox: what waits, what became of it, and what callers may do with it."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from engine.api.context import Context, carry_through, find_account
from engine.api.submit import checked_send_at
from engine.errors import Problem
from engine.http import paging
from engine.isotime import iso
from engine.queue import doubt
from engine.queue.doubt import Choice
from engine.queue.hold import Waiting
from engine.queue.lifecycle import ENDED, State
from engine.queue.outbox import UNKNOWN, Cancelled, TooLate
from engine.schema.outbox import OutboxQuery, OutboxUpdate, QueueQuery, QueueUpdate
from engine.store import attempts, bounces, idempotency, messages, outbox
from engine.store.attempts import Attempt
from engine.store.bounces import Bounce
from engine.store.messages import Message, Recipient
from engine.store.tokens import Token


async def listing(context: Context, query: OutboxQuery) -> dict[str, Any]:
    """`GET /v1/outbox`."""
    db = context.services.store.reader
    total, found = outbox.page(
        db,
        account=query.account,
        state=query.state,
        ended=query.state is not None and State(query.state) in ENDED,
        first=query.page * query.page_size,
        limit=query.page_size,
    )
    recipients = outbox.recipients(db, found)
    return {
        **paging.numbers(total, query),
        "messages": [_entry(message, recipients[message.id]) for message in found],
    }


async def read(context: Context, queue_id: str, *, caller: Token | None = None) -> dict[str, Any]:
    """`GET /v1/outbox/{queueId}`."""
    db = context.services.store.reader
    message = _visible(context, queue_id, caller)
    if message is None:
        raise _not_found()
    recipients = messages.recipients(db, message.id)
    entry = _entry(message, recipients)
    key = idempotency.of_message(db, message.id)
    if key is not None:
        entry["idempotencyKey"] = key
    came_back = bounces.of_message(db, message.id)
    entry["recipients"] = [_recipient(message, each, came_back.get(each.address.lower())) for each in recipients]
    entry["waitingFor"] = _waiting_for(context, message, recipients)
    entry["attemptLog"] = [_attempt(each) for each in attempts.of_message(db, message.id)]
    return entry


async def cancel(context: Context, queue_id: str, *, caller: Token | None = None) -> dict[str, Any]:
    """`DELETE /v1/outbox/{queueId}`."""
    outcome: Cancelled | TooLate = UNKNOWN
    if _visible(context, queue_id, caller) is not None:
        outcome = await carry_through(context.services.outbox.cancel(queue_id))
    if isinstance(outcome, TooLate):
        return {"deleted": False, "reason": outcome.reason}
    return {"deleted": True, **({"alreadySent": outcome.already_sent} if outcome.already_sent else {})}


async def update(context: Context, queue_id: str, body: OutboxUpdate, *, caller: Token | None = None) -> dict[str, Any]:
    """`PUT /v1/outbox/{queueId}`."""
    queue = context.services.outbox
    if _visible(context, queue_id, caller) is None:
        raise _not_found()
    if body.on_doubt is not UNSET:
        outcome = await carry_through(queue.choose_on_doubt(queue_id, Choice(body.on_doubt)))
    else:
        send_at = None
        if body.send_at is not UNSET:
            send_at = checked_send_at(body.send_at, context.services.world.now())
        outcome = await carry_through(queue.move(queue_id, send_at))
    if outcome == UNKNOWN:
        raise _not_found()
    return {"updated": True} if outcome is None else {"updated": False, "reason": outcome.reason}


async def queue_info(context: Context, queue: str, query: QueueQuery) -> dict[str, Any]:
    """`GET /v1/settings/queue/{queue}`."""
    _known(queue)
    account = find_account(context, query.account).id if query.account is not None else None
    counts = outbox.counts(context.services.store.reader, account, context.services.world.now())
    paused = context.services.pauses.paused(account)
    shown: dict[str, Any] = {"queue": queue}
    if account is not None:
        shown["account"] = account
    shown["jobs"] = {
        "active": counts.active,
        "delayed": counts.delayed,
        "paused": counts.waiting if paused else 0,
        "waiting": 0 if paused else counts.waiting,
    }
    shown["paused"] = paused
    return shown


async def queue_update(
    context: Context, queue: str, body: QueueUpdate, *, caller: Token | None = None
) -> dict[str, Any]:
    """`PUT /v1/settings/queue/{queue}`."""
    _known(queue)
    if caller is not None and caller.account not in (None, body.account):
        raise Problem(403, "Unauthorized account")
    if body.account is UNSET:
        await carry_through(context.settings.update({"queuePaused": body.paused}))
        return {"queue": queue, "paused": body.paused}
    account = find_account(context, body.account)
    await carry_through(context.registry.pause_queue(account, body.paused))
    return {"queue": queue, "account": account.id, "paused": body.paused}


def _visible(context: Context, queue_id: str, caller: Token | None) -> Message | None:
    """The message, unless there is none or the caller's token is for another account."""
    message = messages.by_queue_id(context.services.store.reader, queue_id)
    if message is not None and caller is not None and caller.account not in (None, message.account):
        return None
    return message


def _not_found() -> Problem:
    return Problem(404, "Requested queue entry was not found")


def _known(queue: str) -> None:
    if queue != "submit":
        field = {"message": '"queue" must be one of [submit]', "key": "queue", "path": "queue"}
        raise Problem(400, "Invalid input", fields=[field])


def _entry(message: Message, recipients: list[Recipient]) -> dict[str, Any]:
    """What a list and a single entry have in common: EmailEngine's members, then ours."""
    state = State(message.state)
    entry: dict[str, Any] = {
        "source": "api",
        "useStructuredFormat": False,
        "account": message.account,
        "queueId": message.queue_id,
        "gateway": None,
        "messageId": message.message_id,
        "envelope": {"from": message.sender, "to": [each.address for each in recipients]},
        "subject": message.subject,
        "created": iso(message.created),
        "progress": _progress(message, state, recipients),
        "attemptsMade": message.attempts_made,
        "attempts": message.attempts_max,
        "scheduled": iso(message.send_at),
        "nextAttempt": iso(message.next_at) if message.next_at is not None else False,
        "state": state,
        "onDoubt": message.on_doubt,
    }
    if message.doubt_since is not None:
        entry["inDoubtSince"] = iso(message.doubt_since)
    if message.ended is not None:
        entry["ended"] = iso(message.ended)
    return entry


def _progress(message: Message, state: State, recipients: list[Recipient]) -> dict[str, Any]:
    if state is State.SENT:
        response = next((each.response for each in recipients if each.state == State.SENT), None)
        return {"status": "submitted", "response": response, "messageId": message.message_id}
    if state is State.SENDING:
        return {"status": "smtp-starting" if message.dot_at is not None else "processing"}
    if message.last_error is not None:
        return {"status": "error", "error": message.last_error, "networkRouting": None}
    return {"status": "queued"}


def _recipient(message: Message, recipient: Recipient, bounce: Bounce | None) -> dict[str, Any]:
    if bounce is not None and bounce.action == "failed" and recipient.state == State.SENT:
        return {"address": recipient.address, "state": "bounced", "response": bounce.response or bounce.status or ""}
    sending = message.state == State.SENDING and recipient.state in (State.QUEUED, State.DEFERRED)
    shown: dict[str, Any] = {"address": recipient.address, "state": State.SENDING if sending else recipient.state}
    if recipient.code is not None:
        shown["code"] = recipient.code
    if recipient.response is not None:
        shown["response"] = recipient.response
    return shown


def _attempt(attempt: Attempt) -> dict[str, Any]:
    report = dict(attempt.report)
    shown: dict[str, Any] = {
        "number": attempt.number,
        "started": iso(attempt.started),
        "ended": iso(attempt.ended) if attempt.ended is not None else None,
    }
    if "timings" in report:
        report["timings"] = {stage: round(seconds * 1000) for stage, seconds in report["timings"].items()}
    return {**shown, **report}


def _waiting_for(context: Context, message: Message, recipients: list[Recipient]) -> dict[str, Any] | None:
    waiting = _own_wait(message, recipients, context.services.world.now())
    account = context.registry.get(message.account)
    if waiting is None and State(message.state) not in (*ENDED, State.SENDING) and account is not None:
        waiting = account.mail_waits_for() or Waiting(
            "turn", message.next_at or message.send_at, None, "It is its account's turn as soon as those before it went"
        )
    if waiting is None:
        return None
    until = iso(waiting.until) if waiting.until is not None else None
    return {"kind": waiting.kind, "since": iso(waiting.since), "until": until, "remedy": waiting.remedy}


def _own_wait(message: Message, recipients: list[Recipient], now: float) -> Waiting | None:
    """What the message itself waits for; None when it is due."""
    state, since = State(message.state), message.doubt_since or message.created
    if state is State.HELD:
        return Waiting("release", since, None, 'engine outbox release, or PUT /v1/outbox/{queueId} {"sendNow":true}')
    if state is State.IN_DOUBT and message.next_at is None:
        remedy = 'Nobody knows whether it arrived: PUT /v1/outbox/{queueId} {"onDoubt":"resend"} or {"onDoubt":"fail"}'
        return Waiting("decision", since, None, remedy)
    if message.next_at is None or message.next_at <= now:
        return None
    if state is State.IN_DOUBT and message.next_at >= since + doubt.PATIENCE:
        remedy = "Nobody knows whether it arrived: the provider's Sent folder is searched for it"
        return Waiting("evidence", since, message.next_at, remedy)
    if state is State.QUEUED and message.attempts_made == 0:
        remedy = 'It is sent at its sendAt; PUT /v1/outbox/{queueId} {"sendNow":true} sends it now'
        return Waiting("schedule", message.created, message.next_at, remedy)
    said = message.last_error["message"] if message.last_error is not None else "the last try did not succeed"
    remedy = f'It is tried again by itself ({said}); PUT /v1/outbox/{{queueId}} {{"sendNow":true}} tries it now'
    return Waiting("retry", since, message.next_at, remedy)
