"""What an attempt means: new states, the next attempt, and the events that say so. Pure.

`judge` takes the message, its recipients and what the server said to each, and returns everything the commit has to
write. An attempt may be all at once: accepted for one recipient, refused for another, put off for a third. Then
`messageSent` says who got it and who never will, `messageDeliveryError` says what is tried again, `messageInDoubt` for
whom nobody knows, and `messageFailed` comes when nothing is tried any more and somebody did not get it without a
`messageSent` having named them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.model.message import Message, Recipient
from engine.model.states import ENDED, State, message_state
from engine.queue import doubt, outcome_events
from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Stage, Verdict, error_text


class Judgement(msgspec.Struct):
    """What to write: recipients with their new states, the message's state, its next attempt and last error, events.

    `ended`: nothing is open any more. `next_at` is None then, and while only doubts are left that wait for somebody.
    """

    recipients: list[Recipient]
    state: State
    ended: bool
    next_at: float | None
    doubt_since: float | None
    error: dict[str, Any] | None
    events: list[tuple[str, dict[str, Any]]]


def judge(
    message: Message,
    recipients: Sequence[Recipient],
    verdicts: Mapping[str, Verdict],
    overall: Verdict,
    *,
    now: float,
    retry_at: float,
    evidence: bool,
    goes_on: float | None = None,
) -> Judgement:
    """Judge one attempt of `message`.

    `recipients` are all of the message's; `verdicts` holds one for each address this attempt was for; `overall` is what
    the attempt as a whole came to, for the events. `retry_at` is when a next attempt would be due.
    `message.attempts_made` counts this attempt. `evidence`: the provider's Sent folder may tell what became of a doubt.
    `goes_on`: until when all of the account's mail waits, for the events. Times in seconds since 1970.
    """
    spent = message.attempts_made >= message.attempts_max
    if overall.stage in BEFORE_ANY_MESSAGE:
        # Attempts come rarely while the account cannot send, so here it is time that ends the message.
        spent = spent or now >= message.expires_at
        retry_at = min(retry_at, message.expires_at)
    choice = message.on_doubt
    doubtful = doubt.in_doubt(choice, evidence=evidence, spent=spent)
    tried = [_after(each, verdicts[each.address], spent, doubtful) for each in recipients if each.address in verdicts]
    everyone = replaced(recipients, tried)
    states = [each.state for each in everyone]
    unknown = [each for each in tried if verdicts[each.address].kind is Kind.DOUBT]
    doubt_since = None
    if State.IN_DOUBT in states:
        doubt_since = now if unknown else message.doubt_since
    ended = all(state in ENDED for state in states)
    retry_at = now if spent else retry_at
    next_at = doubt.due(states, choice, retry_at=retry_at, doubt_since=doubt_since, evidence=evidence)
    told = max(next_at, goes_on) if next_at is not None and goes_on is not None else next_at
    accepted = [each for each in tried if each.state == State.SENT]
    refused = [each for each in tried if verdicts[each.address].kind is Kind.REJECTED]
    # The last word on a message names everyone who did not get it, also those refused in earlier attempts.
    rejected = [each for each in everyone if each.state == State.FAILED] if ended else refused
    unsent = [each for each in tried if each.state != State.SENT]
    events: list[tuple[str, dict[str, Any]]] = []
    error: dict[str, Any] | None = None
    if accepted:
        events.append(("messageSent", outcome_events.sent(message, tried, accepted, rejected, overall.text)))
    later = [each for each in unsent if verdicts[each.address].kind is not Kind.REJECTED]
    if later or (unsent and not accepted):
        worst = overall if overall.kind is not Kind.ACCEPTED else verdicts[later[0].address]
        data = outcome_events.delivery_error(message, unsent, refused, worst, told)
        data["error"] = _said(worst, accepted)
        if unknown:
            data["inDoubt"] = True
        events.append(("messageDeliveryError", data))
        if unknown:
            about = verdicts[unknown[0].address]
            events.append(("messageInDoubt", outcome_events.in_doubt(message, unknown, about, told, evidence=evidence)))
        if ended:
            data = outcome_events.failed(message, unsent, rejected, worst)
            if any(each.state == State.IN_DOUBT for each in recipients if each.address in verdicts):
                data["inDoubt"] = True
            events.append(("messageFailed", data))
    if unsent:
        worst = overall if overall.kind is not Kind.ACCEPTED else verdicts[unsent[0].address]
        error = {**outcome_events.last_error(worst), "message": _said(worst, accepted)}
    return Judgement(tried, message_state(states), ended, next_at, doubt_since, error, events)


def replaced(recipients: Sequence[Recipient], changed: Sequence[Recipient]) -> list[Recipient]:
    """All recipients, those in `changed` as they are there."""
    after = {each.position: each for each in changed}
    return [after.get(each.position, each) for each in recipients]


def _said(worst: Verdict, accepted: Sequence[Recipient]) -> str:
    """The error in words; not "all recipients were rejected" where one was taken."""
    return f"Recipient was refused: {worst.text}" if accepted and worst.stage is Stage.RCPT else error_text(worst)


def _after(recipient: Recipient, verdict: Verdict, spent: bool, doubtful: State) -> Recipient:
    # Who may have got it in an earlier try stays in doubt until a server takes it.
    later = State.IN_DOUBT if recipient.state == State.IN_DOUBT else State.DEFERRED
    state = {
        Kind.ACCEPTED: State.SENT,
        Kind.REJECTED: State.FAILED,
        Kind.LATER: State.FAILED if spent else later,
        Kind.LOGIN_REFUSED: State.FAILED if spent else later,
        Kind.DOUBT: doubtful,
    }[verdict.kind]
    return Recipient(recipient.position, recipient.address, state, verdict.code, verdict.text)
