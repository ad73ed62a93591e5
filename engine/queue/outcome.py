"""What an attempt means: new states, the next attempt, and the events that say so. Pure.

`judge` takes the message, its recipients and the server's verdict on each, and returns everything the commit has to
write. One attempt may be accepted for one recipient, rejected for another and deferred for a third. `messageSent` then
names those who got it and those who never will, `messageDeliveryError` those it will be sent to again, and
`messageInDoubt` those whose outcome is unknown. `messageFailed` follows once no attempt is left, if a recipient did not
get the message and no `messageSent` has named them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.model.message import Message, Recipient
from engine.model.message_states import ENDED, State, message_state
from engine.queue import doubt, outcome_events
from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Stage, Verdict, error_text


class Judgement(msgspec.Struct):
    """What to write: recipients with their new states, the message's state, its next attempt and last error, events.

    `ended`: no recipient is open. `next_at` is None then, and also if only doubts that await a decision are left.
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

    `recipients` are all of the message's; `verdicts` holds one for each address of this attempt; `overall` is the
    verdict of the attempt as a whole, for the events. `retry_at` is when a next attempt would be due.
    `message.attempts_made` includes this attempt. `evidence`: the provider's Sent folder may settle a doubt.
    `goes_on`: when the lane sends again, if all of the account's mail waits, for the events. Times in seconds since
    1970.
    """
    spent = message.attempts_made >= message.attempts_max
    if overall.stage in BEFORE_ANY_MESSAGE:
        # Attempts are rare while the account cannot send, so the message ends by age.
        spent = spent or now >= message.expires_at
        retry_at = min(retry_at, message.expires_at)
    doubtful = doubt.in_doubt(message.on_doubt, evidence=evidence, spent=spent)
    tried = [_after(each, verdicts[each.address], spent, doubtful) for each in recipients if each.address in verdicts]
    everyone = replaced(recipients, tried)
    states = [each.state for each in everyone]
    attempt = _Attempt(message, recipients, verdicts, overall, tried, everyone)
    doubt_since = None
    if State.IN_DOUBT in states:
        doubt_since = now if attempt.unknown else message.doubt_since
    retry_at = now if spent else retry_at
    next_at = doubt.due(states, message.on_doubt, retry_at=retry_at, doubt_since=doubt_since, evidence=evidence)
    told = max(next_at, goes_on) if next_at is not None and goes_on is not None else next_at
    events = attempt.events(told, evidence=evidence)
    return Judgement(tried, message_state(states), attempt.ended, next_at, doubt_since, attempt.error, events)


class _Attempt:
    """An attempt and the states it led to, from which the events are made.

    `tried` are the recipients of the attempt, `everyone` all of the message's, with their new states.
    """

    def __init__(
        self,
        message: Message,
        before: Sequence[Recipient],
        verdicts: Mapping[str, Verdict],
        overall: Verdict,
        tried: Sequence[Recipient],
        everyone: Sequence[Recipient],
    ) -> None:
        self._message = message
        self._verdicts = verdicts
        self._overall = overall
        self._tried = tried
        self.ended = all(each.state in ENDED for each in everyone)
        self.unknown = self._who(Kind.DOUBT)
        self._accepted = [each for each in tried if each.state == State.SENT]
        self._unsent = [each for each in tried if each.state != State.SENT]
        self._refused = self._who(Kind.REJECTED)
        # A message's last event names everyone who did not get it, including those refused in earlier attempts.
        self._rejected = [each for each in everyone if each.state == State.FAILED] if self.ended else self._refused
        self._doubted = any(each.state == State.IN_DOUBT for each in before if each.address in verdicts)

    @property
    def error(self) -> dict[str, Any] | None:
        """The message's last error; None if every recipient of the attempt got it."""
        if not self._unsent:
            return None
        worst = self._worst(self._unsent)
        return {**outcome_events.last_error(worst), "message": self._said(worst)}

    def events(self, next_at: float | None, *, evidence: bool) -> list[tuple[str, dict[str, Any]]]:
        """The events, in order; `next_at` is when the message is sent again."""
        message, events = self._message, list[tuple[str, dict[str, Any]]]()
        if self._accepted:
            sent = outcome_events.sent(message, self._tried, self._accepted, self._rejected, self._overall.text)
            events.append(("messageSent", sent))
        later = [each for each in self._unsent if self._verdicts[each.address].kind is not Kind.REJECTED]
        if not later and (self._accepted or not self._unsent):
            return events
        worst = self._worst(later)
        data = outcome_events.delivery_error(message, self._unsent, self._refused, worst, next_at)
        data["error"] = self._said(worst)
        events.append(("messageDeliveryError", data))
        if self.unknown:
            data["inDoubt"] = True
            about = self._verdicts[self.unknown[0].address]
            doubt = outcome_events.in_doubt(message, self.unknown, about, next_at, evidence=evidence)
            events.append(("messageInDoubt", doubt))
        if self.ended:
            data = outcome_events.failed(message, self._unsent, self._rejected, worst)
            if self._doubted:
                data["inDoubt"] = True
            events.append(("messageFailed", data))
        return events

    def _who(self, kind: Kind) -> list[Recipient]:
        return [each for each in self._tried if self._verdicts[each.address].kind is kind]

    def _worst(self, unsent: Sequence[Recipient]) -> Verdict:
        return self._overall if self._overall.kind is not Kind.ACCEPTED else self._verdicts[unsent[0].address]

    def _said(self, worst: Verdict) -> str:
        """The error in words; never "all recipients were rejected" if one was accepted."""
        if self._accepted and worst.stage is Stage.RCPT:
            return f"Recipient was refused: {worst.text}"
        return error_text(worst)


def replaced(recipients: Sequence[Recipient], changed: Sequence[Recipient]) -> list[Recipient]:
    """All recipients, with those in `changed` replaced."""
    after = {each.position: each for each in changed}
    return [after.get(each.position, each) for each in recipients]


def _after(recipient: Recipient, verdict: Verdict, spent: bool, doubtful: State) -> Recipient:
    # A recipient who may have got it in an earlier attempt stays in doubt until a server accepts it.
    later = State.IN_DOUBT if recipient.state == State.IN_DOUBT else State.DEFERRED
    state = {
        Kind.ACCEPTED: State.SENT,
        Kind.REJECTED: State.FAILED,
        Kind.LATER: State.FAILED if spent else later,
        Kind.LOGIN_REFUSED: State.FAILED if spent else later,
        Kind.DOUBT: doubtful,
    }[verdict.kind]
    return Recipient(recipient.position, recipient.address, state, verdict.code, verdict.text)
