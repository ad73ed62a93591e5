"""Judgements apart from the end of an attempt: evidence settles a doubt, or a message is given up. Pure.

Each returns what the commit has to write, as `outcome.judge` does for an attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.model.message import NOT_SENT, Message, Recipient
from engine.model.message_states import ENDED, State, message_state
from engine.queue import doubt, outcome_events
from engine.queue.outcome import Judgement, replaced
from engine.smtp.verdict import Kind, Stage, Verdict

FOUND = "Found in the provider's Sent folder"
NOT_FOUND = Verdict(
    Kind.LATER, Stage.DOT, None, None, "Not in the Sent folder of a provider that files sent mail there: it did not go"
)
UNKNOWN = Verdict(Kind.DOUBT, Stage.DOT, None, None, "It is not known whether the message arrived")


def taken(message: Message, recipients: Sequence[Recipient], addresses: dict[str, Verdict]) -> Judgement:
    """Some of a long list of recipients were accepted; the attempt continues with the rest.

    `addresses` maps those accepted to their verdicts.
    """
    accepted = [
        Recipient(each.position, each.address, State.SENT, addresses[each.address].code, addresses[each.address].text)
        for each in recipients
        if each.address in addresses
    ]
    response = next(iter(addresses.values())).text
    events = [("messageSent", outcome_events.sent(message, accepted, accepted, [], response))]
    return Judgement(accepted, State.SENDING, False, message.next_at, message.doubt_since, None, events)


def tells(recipients: Sequence[Recipient]) -> bool:
    """Whether a copy in the Sent folder proves that the recipients in doubt got the message.

    A copy does not name its recipients, so if the message has several, an attempt for the others may have filed it.
    """
    return len(recipients) == 1


def found(message: Message, recipients: Sequence[Recipient], now: float) -> Judgement:
    """The message is in the provider's Sent folder: those in doubt got it."""
    settled = [_as(each, State.SENT, FOUND) for each in recipients if each.state == State.IN_DOUBT]
    everyone = replaced(recipients, settled)
    states = [each.state for each in everyone]
    ended = all(state in ENDED for state in states)
    rejected = [each for each in everyone if each.state == State.FAILED] if ended else []
    next_at = doubt.due(states, message.on_doubt, retry_at=message.next_at or now, doubt_since=None, evidence=False)
    events = [("messageSent", outcome_events.sent(message, settled, settled, rejected, FOUND))]
    return Judgement(settled, message_state(states), ended, next_at, None, None, events)


def not_found(message: Message, recipients: Sequence[Recipient], now: float) -> Judgement:
    """The message is not in the provider's Sent folder: those in doubt did not get it and are due at once."""
    if message.attempts_made >= message.attempts_max:
        return given_up(message, recipients, NOT_FOUND)
    settled = [_as(each, State.DEFERRED, NOT_FOUND.text) for each in recipients if each.state == State.IN_DOUBT]
    state = message_state(each.state for each in replaced(recipients, settled))
    return Judgement(settled, state, False, now, None, outcome_events.last_error(NOT_FOUND), [])


def given_up(message: Message, recipients: Sequence[Recipient], verdict: Verdict) -> Judgement:
    """Every open recipient fails without a further attempt; `verdict` is the reason."""
    ending = [
        Recipient(each.position, each.address, State.FAILED, each.code or verdict.code, each.response or verdict.text)
        for each in recipients
        if each.state not in ENDED
    ]
    everyone = replaced(recipients, ending)
    rejected = [each for each in everyone if each.state == State.FAILED]
    state = message_state(each.state for each in everyone)
    events = [("messageFailed", outcome_events.failed(message, ending, rejected, verdict))]
    return Judgement(ending, state, True, None, None, outcome_events.last_error(verdict), events)


def left_out(
    message: Message, recipients: Sequence[Recipient], reasons: Mapping[str, str], now: float, *, evidence: bool
) -> Judgement:
    """Those in `reasons` fail, each for its reason, without a further attempt."""
    said = {False: NOT_SENT, True: f"{UNKNOWN.text}, and it is not sent again:"}
    ending = [
        _as(each, State.FAILED, f"{said[each.state == State.IN_DOUBT]} {reasons[each.address]}")
        for each in recipients
        if each.address in reasons
    ]
    everyone = replaced(recipients, ending)
    states = [each.state for each in everyone]
    ended = all(state in ENDED for state in states)
    doubtful = any(each.state == State.IN_DOUBT and each.address in reasons for each in recipients)
    verdict = Verdict(Kind.DOUBT if doubtful else Kind.REJECTED, Stage.RCPT, None, None, ending[0].response or "")
    since = message.doubt_since if State.IN_DOUBT in states else None
    next_at = doubt.due(states, message.on_doubt, retry_at=now, doubt_since=since, evidence=evidence)
    rejected = [each for each in everyone if each.state == State.FAILED]
    # Whoever still waits ends with an event that names these, too.
    events = [("messageFailed", outcome_events.failed(message, ending, rejected, verdict))] if ended else []
    return Judgement(ending, message_state(states), ended, next_at, since, outcome_events.last_error(verdict), events)


def doubt_given_up(message: Message, recipients: Sequence[Recipient], now: float) -> Judgement:
    """Those in doubt fail, since their outcome will stay unknown; waiting recipients are left alone."""
    if all(each.state in ENDED or each.state == State.IN_DOUBT for each in recipients):
        return given_up(message, recipients, UNKNOWN)
    settled = [_as(each, State.FAILED, UNKNOWN.text) for each in recipients if each.state == State.IN_DOUBT]
    state = message_state(each.state for each in replaced(recipients, settled))
    return Judgement(settled, state, False, message.next_at or now, None, outcome_events.last_error(UNKNOWN), [])


def _as(recipient: Recipient, state: State, response: str) -> Recipient:
    return Recipient(recipient.position, recipient.address, state, None, response)
