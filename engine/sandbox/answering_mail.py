"""Messages that answer one that was sent: replies, bounces and complaints, in the forms of real providers. Pure.

What is built here has to be recognised by the same code that reads real mail, so it says no more than real mail does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime
from enum import StrEnum
from typing import Final

import msgspec

HEADER_BYTES: Final = 32_768
"""Octets of the original's header that a report repeats at most."""
_REPORTER: Final = "mx.sandbox.example"


class AnswerKind(StrEnum):
    """What arrives."""

    REPLY = "reply"
    AUTO_REPLY = "autoReply"
    OUT_OF_OFFICE = "outOfOffice"
    BOUNCE = "bounce"
    SOFT_BOUNCE = "softBounce"
    DELAY = "delay"
    COMPLAINT = "complaint"


REPORTS: Final = frozenset({AnswerKind.BOUNCE, AnswerKind.SOFT_BOUNCE, AnswerKind.DELAY})
"""Kinds that have a `response`."""


class Answer(msgspec.Struct, frozen=True):
    """`text` is what a person or a program writes, `response` what the recipient's server said; "": usual words."""

    kind: AnswerKind
    text: str = ""
    response: str = ""


class Original(msgspec.Struct, frozen=True):
    """The message that is answered: its Message-ID, who sent it, the recipient concerned, ENVID, and its header.

    `now` is the time of the answer, in seconds since 1970.
    """

    message_id: str
    sender: str
    recipient: str
    envelope_id: str
    header: bytes
    now: float


def build(answer: Answer, about: Original, unique: str) -> bytes:
    """The message; `unique` is for its Message-ID."""
    if answer.kind in REPORTS:
        return _delivery_report(answer, about, unique)
    if answer.kind is AnswerKind.COMPLAINT:
        return _complaint(answer, about, unique)
    return _reply(answer, about, unique)


_TEXTS: Final = {
    AnswerKind.REPLY: "Thank you, I have received it.",
    AnswerKind.AUTO_REPLY: "We have received your message. This is an automatic confirmation.",
    AnswerKind.OUT_OF_OFFICE: "I am out of the office and will answer when I am back.",
    AnswerKind.COMPLAINT: "This is an email abuse report for an email message received from your system.",
}
_SUBJECTS: Final = {
    AnswerKind.REPLY: "Re: {}",
    AnswerKind.AUTO_REPLY: "Automatic reply: {}",
    AnswerKind.OUT_OF_OFFICE: "Out of office: {}",
}
_RESPONSES: Final = {
    AnswerKind.BOUNCE: "550 5.1.1 <{}>: Recipient address rejected: User unknown",
    AnswerKind.SOFT_BOUNCE: "452 4.2.2 <{}>: Recipient address rejected: Mailbox full",
    AnswerKind.DELAY: "451 4.3.0 Temporary failure, try again later",
}


def _reply(answer: Answer, about: Original, unique: str) -> bytes:
    subject = _field(about.header, b"subject")
    if answer.kind is AnswerKind.REPLY and subject.lower().startswith("re:"):
        subject = subject[3:].lstrip()
    fields = [
        f"From: <{about.recipient}>",
        f"To: <{about.sender}>",
        f"Subject: {_encoded(_SUBJECTS[answer.kind].format(subject))}",
        f"In-Reply-To: {about.message_id}",
        f"References: {about.message_id}",
    ]
    text = answer.text or _TEXTS[answer.kind]
    if answer.kind is AnswerKind.REPLY:
        text = f"{text}\n\nOn {_date(about.now)}, {about.sender} wrote:\n\n> Your message\n"
    else:
        fields += ["Auto-Submitted: auto-replied", "X-Auto-Response-Suppress: All"]
    if answer.kind is AnswerKind.OUT_OF_OFFICE:
        fields.append("X-Autoreply: yes")
    return _message(fields, about, unique, about.recipient, 'text/plain; charset="utf-8"', _lines(text))


def _delivery_report(answer: Answer, about: Original, unique: str) -> bytes:
    response = answer.response or _RESPONSES[answer.kind].format(about.recipient)
    code, _, rest = response.partition(" ")
    enhanced = rest.partition(" ")[0]
    status = enhanced if enhanced[:2] in ("4.", "5.") else f"{code[:1]}.0.0"
    delayed = answer.kind is AnswerKind.DELAY
    said = [
        f"Reporting-MTA: dns; {_REPORTER}",
        *([f"Original-Envelope-Id: {about.envelope_id}"] if about.envelope_id else []),
        f"Arrival-Date: {_date(about.now)}",
        "",
        f"Final-Recipient: rfc822; {about.recipient}",
        f"Action: {'delayed' if delayed else 'failed'}",
        f"Status: {status}",
        f"Remote-MTA: dns; {_REPORTER}",
        f"Diagnostic-Code: smtp; {response}",
    ]
    what = "could not be delivered yet; it will be tried again" if delayed else "could not be delivered"
    text = answer.text or f"Your message {what}.\n\n<{about.recipient}>: {response}\n"
    subject = "Delayed Mail (still being retried)" if delayed else "Undelivered Mail Returned to Sender"
    return _report(
        "delivery-status", subject, "Mail Delivery System", text, said, about, unique, "message/delivery-status"
    )


def _complaint(answer: Answer, about: Original, unique: str) -> bytes:
    said = [
        "Feedback-Type: abuse",
        "User-Agent: Sandbox-Feedback/1.0",
        "Version: 1",
        f"Original-Mail-From: <{about.sender}>",
        f"Original-Rcpt-To: <{about.recipient}>",
        *([f"Original-Envelope-Id: {about.envelope_id}"] if about.envelope_id else []),
        f"Arrival-Date: {_date(about.now)}",
        f"Reporting-MTA: dns; {_REPORTER}",
        "Source-IP: 192.0.2.1",
    ]
    text = answer.text or _TEXTS[answer.kind]
    subject = f"FW: {_field(about.header, b'subject')}"
    return _report("feedback-report", subject, "Feedback Loop", text, said, about, unique, "message/feedback-report")


def _report(
    report: str, subject: str, name: str, text: str, said: list[str], about: Original, unique: str, kind: str
) -> bytes:
    boundary = f"=_{unique}"
    header = about.header[:HEADER_BYTES] or f"Message-ID: {about.message_id}\r\n".encode()
    parts = [
        b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n' + _lines(text),
        f"Content-Type: {kind}\r\n\r\n".encode() + "\r\n".join([*said, ""]).encode(),
        b"Content-Type: text/rfc822-headers\r\n\r\n" + header,
    ]
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts) + f"--{boundary}--\r\n".encode()
    fields = [
        f"From: {name} <mailer-daemon@sandbox.example>",
        f"To: <{about.sender}>",
        f"Subject: {_encoded(subject)}",
        "Auto-Submitted: auto-replied",
    ]
    content = f'multipart/report; report-type={report}; boundary="{boundary}"'
    return _message(fields, about, unique, "a@sandbox.example", content, body)


def _message(fields: list[str], about: Original, unique: str, author: str, content: str, body: bytes) -> bytes:
    header = [
        "Return-Path: <>" if content.startswith("multipart") else f"Return-Path: <{author}>",
        f"Delivered-To: {about.sender}",
        *fields,
        f"Date: {_date(about.now)}",
        f"Message-ID: <{unique}@{author.rpartition('@')[2]}>",
        "MIME-Version: 1.0",
        f"Content-Type: {content}",
        "Content-Transfer-Encoding: 8bit",
        "",
        "",
    ]
    return "\r\n".join(header).encode("utf-8", "replace") + body


def _field(header: bytes, name: bytes) -> str:
    """The first value of a field, unfolded, in its encoded form; empty if there is none."""
    unfolded = header.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    for line in unfolded.split(b"\r\n"):
        found, colon, value = line.partition(b":")
        if colon and found.strip().lower() == name:
            return value.strip().decode("utf-8", "replace")
    return ""


def _encoded(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8").encode(linesep="\r\n")


def _lines(text: str) -> bytes:
    return "\r\n".join([*text.splitlines(), ""]).encode("utf-8", "replace")


def _date(now: float) -> str:
    return format_datetime(datetime.fromtimestamp(now, UTC))
