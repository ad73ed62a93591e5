"""What a try means: new states, the next try, and the events that say so. Pure.

`judge` takes the message, its open recipients and what the server said to each, and returns everything the commit has
to write. A try may be all at once: accepted for one recipient, refused for another, put off for a third. Then
`messageSent` says who got it and who never will, `messageDeliveryError` says what is tried again, and `messageFailed`
comes when nothing is tried any more and somebody did not get it without a `messageSent` having named them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.isotime import iso
from engine.queue.lifecycle import ENDED, State, message_state
from engine.smtp.verdict import Kind, Stage, Verdict, command, error_code, error_text
from engine.store.messages import Message, Recipient


class Judgement(msgspec.Struct):
    """What to write: recipients with their new states, the message's state, its next try and last error, events."""

    recipients: list[Recipient]
    state: State
    next_at: float | None
    error: dict[str, Any] | None
    events: list[tuple[str, dict[str, Any]]]


def judge(
    message: Message,
    recipients: Sequence[Recipient],
    verdicts: Mapping[str, Verdict],
    overall: Verdict,
    *,
    retry_at: float,
) -> Judgement:
    """Judge one try of `message`.

    `recipients` are all of the message's; `verdicts` holds one for each address this try was for; `overall` is what the
    try as a whole came to, for the events. `retry_at` is when a next try would be due. `message.attempts_made` counts
    this try.
    """
    spent = message.attempts_made >= message.attempts_max
    tried = [_after(each, verdicts[each.address], spent) for each in recipients if each.address in verdicts]
    now = {each.position: each for each in tried}
    everyone = [now.get(each.position, each) for each in recipients]
    is_open = any(State(each.state) not in ENDED for each in everyone)
    next_at = retry_at if is_open else None
    accepted = [each for each in tried if each.state == State.SENT]
    refused = [each for each in tried if verdicts[each.address].kind is Kind.REJECTED]
    # The last word on a message names everyone who did not get it, also those refused in earlier tries.
    rejected = refused if is_open else [each for each in everyone if each.state == State.FAILED]
    unsent = [each for each in tried if each.state != State.SENT]
    events: list[tuple[str, dict[str, Any]]] = []
    if accepted:
        events.append(("messageSent", _sent(message, tried, accepted, rejected, overall)))
    later = [each for each in unsent if verdicts[each.address].kind is not Kind.REJECTED]
    if later or (unsent and not accepted):
        worst = overall if overall.kind is not Kind.ACCEPTED else verdicts[later[0].address]
        data = _failure(message, unsent, worst)
        if accepted and worst.stage is Stage.RCPT:
            data["error"] = f"Recipient was refused: {worst.text}"
        data["job"] = {
            "id": message.queue_id,
            "attemptsMade": message.attempts_made,
            "attempts": message.attempts_max,
            "nextAttempt": iso(next_at) if next_at is not None else False,
        }
        data["rejected"] = [_reply(each) for each in refused]
        if any(each.state == State.IN_DOUBT for each in tried) or worst.kind is Kind.DOUBT:
            data["inDoubt"] = True
        events.append(("messageDeliveryError", data))
        if not is_open:
            events.append(("messageFailed", _failed(message, unsent, rejected, worst)))
    error: dict[str, Any] | None = None
    if unsent:
        worst = overall if overall.kind is not Kind.ACCEPTED else verdicts[unsent[0].address]
        error = {"message": error_text(worst), "code": error_code(worst)}
        if worst.code is not None:
            error["statusCode"] = worst.code
    return Judgement(tried, message_state(State(each.state) for each in everyone), next_at, error, events)


def _after(recipient: Recipient, verdict: Verdict, spent: bool) -> Recipient:
    state = {
        Kind.ACCEPTED: State.SENT,
        Kind.REJECTED: State.FAILED,
        Kind.LATER: State.FAILED if spent else State.DEFERRED,
        Kind.LOGIN_REFUSED: State.FAILED if spent else State.DEFERRED,
        Kind.DOUBT: State.FAILED if spent else State.IN_DOUBT,
    }[verdict.kind]
    return Recipient(recipient.position, recipient.address, state, verdict.code, verdict.text)


def _envelope(message: Message, recipients: Sequence[Recipient]) -> dict[str, Any]:
    return {"from": message.sender, "to": [each.address for each in recipients]}


def _reply(recipient: Recipient) -> dict[str, Any]:
    shown: dict[str, Any] = {"address": recipient.address, "response": recipient.response}
    if recipient.code is not None:
        shown["responseCode"] = recipient.code
    return shown


def _sent(
    message: Message,
    tried: Sequence[Recipient],
    accepted: Sequence[Recipient],
    rejected: Sequence[Recipient],
    overall: Verdict,
) -> dict[str, Any]:
    return {
        "messageId": message.message_id,
        "response": overall.text,
        "queueId": message.queue_id,
        "envelope": _envelope(message, tried),
        "networkRouting": None,
        "accepted": [each.address for each in accepted],
        "rejected": [_reply(each) for each in rejected],
    }


def _failure(message: Message, unsent: Sequence[Recipient], verdict: Verdict) -> dict[str, Any]:
    data: dict[str, Any] = {
        "queueId": message.queue_id,
        "envelope": _envelope(message, unsent),
        "messageId": message.message_id,
        "error": error_text(verdict),
        "errorCode": error_code(verdict),
    }
    if verdict.code is not None:
        data["smtpResponse"] = verdict.text
        data["smtpResponseCode"] = verdict.code
    data["smtpCommand"] = command(verdict)
    data["networkRouting"] = None
    return data


def _failed(
    message: Message, unsent: Sequence[Recipient], rejected: Sequence[Recipient], verdict: Verdict
) -> dict[str, Any]:
    failure = _failure(message, unsent, verdict)
    return {
        "messageId": message.message_id,
        "queueId": message.queue_id,
        "error": f"Error: {failure.pop('error')}",
        "networkRouting": None,
        **{name: failure[name] for name in ("envelope", "errorCode") if name in failure},
        **{name: failure[name] for name in ("smtpResponse", "smtpResponseCode") if name in failure},
        "attemptsMade": message.attempts_made,
        "rejected": [_reply(each) for each in rejected],
        **({"inDoubt": True} if verdict.kind is Kind.DOUBT else {}),
    }
