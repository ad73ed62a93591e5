"""The `data` of the events about a message's outcome: EmailEngine's members first, then ours. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.isotime import iso
from engine.model.message import Message, Recipient
from engine.smtp.explanation import explanation
from engine.smtp.verdict import Kind, Stage, Verdict, command, error_code, error_text

EXPLAINED = 10
"""The most refused recipients of one event whose replies are explained."""


def sent(
    message: Message,
    tried: Sequence[Recipient],
    accepted: Sequence[Recipient],
    rejected: Sequence[Recipient],
    response: str,
) -> dict[str, Any]:
    """`messageSent`: the server accepted at least one recipient.

    `tried` are the recipients of the attempt, `response` is the server's reply.
    """
    return {
        "messageId": message.message_id,
        "response": response,
        "queueId": message.queue_id,
        **_through(message),
        "envelope": _envelope(message, tried),
        "networkRouting": None,
        "accepted": [each.address for each in accepted],
        "rejected": _replies(rejected),
    }


def delivery_error(
    message: Message, unsent: Sequence[Recipient], refused: Sequence[Recipient], verdict: Verdict, next_at: float | None
) -> dict[str, Any]:
    """`messageDeliveryError`: an attempt that failed for at least one recipient."""
    return {
        **_failure(message, unsent, verdict),
        **_through(message),
        "job": {
            "id": message.queue_id,
            "attemptsMade": message.attempts_made,
            "attempts": message.attempts_max,
            "nextAttempt": _instant(next_at),
        },
        "rejected": _replies(refused),
    }


def in_doubt(
    message: Message, unknown: Sequence[Recipient], verdict: Verdict, next_at: float | None, *, evidence: bool
) -> dict[str, Any]:
    """`messageInDoubt`: the final dot was sent and no reply was read. The last three members say what follows."""
    return {
        "queueId": message.queue_id,
        "messageId": message.message_id,
        **_through(message),
        "envelope": _envelope(message, unknown),
        "error": error_text(verdict),
        "errorCode": error_code(verdict),
        "attemptsMade": message.attempts_made,
        "onDoubt": message.on_doubt,
        "searchingSentFolder": evidence,
        "nextAttempt": _instant(next_at),
    }


def failed(
    message: Message, unsent: Sequence[Recipient], rejected: Sequence[Recipient], verdict: Verdict
) -> dict[str, Any]:
    """`messageFailed`: there are no further attempts; `rejected` is everyone who did not get the message."""
    failure = _failure(message, unsent, verdict)
    return {
        "messageId": message.message_id,
        "queueId": message.queue_id,
        **_through(message),
        "error": f"Error: {failure['error']}",
        "networkRouting": None,
        **{
            name: failure[name]
            for name in ("envelope", "errorCode", "smtpResponse", "smtpResponseCode", "explain")
            if name in failure
        },
        "attemptsMade": message.attempts_made,
        "rejected": _replies(rejected),
        **({"inDoubt": True} if verdict.kind is Kind.DOUBT else {}),
    }


def cancelled(message: Message, recipients: Sequence[Recipient]) -> dict[str, Any]:
    """`messageCancelled`: cancelled before its final dot; `recipients` are those it will not be sent to."""
    return {
        "queueId": message.queue_id,
        "messageId": message.message_id,
        **_through(message),
        "envelope": _envelope(message, recipients),
        "attemptsMade": message.attempts_made,
    }


def last_error(verdict: Verdict) -> dict[str, Any]:
    """The message's last error as the outbox shows it: `message`, `code`, and `statusCode` if there was a reply."""
    error: dict[str, Any] = {"message": error_text(verdict), "code": error_code(verdict)}
    if verdict.code is not None:
        error["statusCode"] = verdict.code
    return error


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
        data["explain"] = explanation(verdict.text, code=verdict.code, login=verdict.stage is Stage.AUTH).members()
    data["smtpCommand"] = command(verdict)
    data["networkRouting"] = None
    return data


def _through(message: Message) -> dict[str, str]:
    """The gateway that the message goes through, if any."""
    return {} if message.gateway is None else {"gateway": message.gateway}


def _envelope(message: Message, recipients: Sequence[Recipient]) -> dict[str, Any]:
    return {"from": message.sender, "to": [each.address for each in recipients]}


def _replies(recipients: Sequence[Recipient]) -> list[dict[str, Any]]:
    shown = [_reply(each) for each in recipients]
    for recipient, reply in zip(recipients[:EXPLAINED], shown, strict=False):
        if recipient.code is not None and recipient.response is not None:
            reply["explain"] = explanation(recipient.response, code=recipient.code).members()
    return shown


def _reply(recipient: Recipient) -> dict[str, Any]:
    shown: dict[str, Any] = {"address": recipient.address, "response": recipient.response}
    if recipient.code is not None:
        shown["responseCode"] = recipient.code
    return shown


def _instant(moment: float | None) -> str | bool:
    return iso(moment) if moment is not None else False
