"""Reads delivery status notifications (RFC 3464): the outcome of a message for each recipient.

Takes the bytes of the `message/delivery-status` part and of the original's header. It never raises; missing values are
empty, and a part without recipients gives a report without recipients.
"""

from __future__ import annotations

import re

import msgspec

from engine.mail.charsets import clean
from engine.mail.decode import header_text
from engine.mail.header_reading import fields, raw_fields

LONGEST = 65_536
LONGEST_HEADER = 16_384
"""Maximum octets read of the original's header, which appears in the event of every recipient."""
RECIPIENTS = 1000
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_LINE = re.compile(rb"\r?\n(?![ \t\r\n]|[A-Za-z][A-Za-z0-9-]{1,60}[ \t]*:|\Z)")
_TOLD_ID = re.compile(rb"^(?:x-original-)?message-id[ \t]*:[ \t]*(<[^<>\s]{1,996}>)", re.IGNORECASE | re.MULTILINE)
_CODE_POINT = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_FAILED = re.compile(r"fail|error|bounce|reject|undeliver|expire|return|permanent", re.IGNORECASE)
_RECIPIENT = ("final-recipient", "original-recipient", "x-actual-recipient")


class RecipientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for one recipient.

    `action` is `failed`, `delayed`, `delivered`, `relayed` or `expanded`, or "" if the report does not say; `status` is
    the enhanced code (`5.1.1`); `source` is the type of `diagnostic` (`smtp`). All but the texts are in lower case.
    """

    recipient: str
    original: str
    action: str
    status: str
    source: str
    diagnostic: str
    remote_mta: str


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """One notification. `message_id` is the original's, with its angle brackets, empty if unknown."""

    envelope_id: str
    reporting_mta: str
    recipients: tuple[RecipientStatus, ...]
    message_id: str
    headers: dict[str, list[str]]


def read_delivery_status(status: bytes, original: bytes) -> DeliveryReport:
    """Read the report in these parts, at most 64 KiB of the first and 16 KiB of the second."""
    # A line that is neither a field nor folded continues the field above it.
    status = _LINE.sub(b" ", status[:LONGEST].strip())
    groups = [dict(raw_fields(group)) for group in re.split(rb"\r?\n(?:[ \t]*\r?\n)+", status) if group.strip()]
    of_message = next((group for group in groups if group), {})
    headers = fields(original.lstrip()[:LONGEST_HEADER])
    return DeliveryReport(
        envelope_id=header_text(of_message.get("original-envelope-id", b"")),
        reporting_mta=_value(of_message.get("reporting-mta", b"")),
        recipients=tuple(_recipient(group) for group in _of_recipients(groups)[:RECIPIENTS]),
        message_id=message_id(headers) or _told_id(status),
        headers=headers,
    )


def _of_recipients(groups: list[dict[str, bytes]]) -> list[dict[str, bytes]]:
    found: list[dict[str, bytes]] = []
    for group in groups:
        if any(group.get(name) for name in _RECIPIENT):
            found.append(group)
        elif found and not found[-1].keys() & group.keys() & {"action", "status"}:
            # A blank line within the fields of one recipient.
            found[-1] = found[-1] | group
    return found


def _told_id(status: bytes) -> str:
    """The original's Message-ID from a field of the report, or from what a broken boundary appended to it."""
    found = _TOLD_ID.search(status)
    return found[1].decode("ascii", "replace") if found else ""


def message_id(headers: dict[str, list[str]]) -> str:
    """The Message-ID of a header, empty if there is none."""
    match = _MESSAGE_ID.search((headers.get("message-id") or [""])[0])
    return match[0] if match else ""


def _recipient(group: dict[str, bytes]) -> RecipientStatus:
    final, original, actual = (_value(group.get(name, b"")) for name in _RECIPIENT)
    diagnostic = header_text(group.get("diagnostic-code", b""))
    source, semicolon, text = diagnostic.partition(";")
    if not semicolon or not re.fullmatch(r"[A-Za-z0-9-]{1,20}", source.strip()):
        source, text = "", diagnostic
    found = _STATUS.search(header_text(group.get("status", b""))) or _STATUS.search(diagnostic)
    status = found[1] if found else ""
    return RecipientStatus(
        # Some systems name the local mailbox, which is not an address outside their machine.
        recipient=next((each for each in (final, original, actual) if "@" in each), final or original or actual),
        original=original,
        action=_action(group, status),
        status=status,
        source=source.strip().lower(),
        diagnostic=text.strip(),
        remote_mta=_value(group.get("remote-mta", b"")),
    )


def _action(group: dict[str, bytes], status: str) -> str:
    """The action as one of the five words, however the system spells it; otherwise derived from the status."""
    said = header_text(group.get("action", b"")).lower()
    word = re.split(r"[\s(;]", said, maxsplit=1)[0]
    if word in ("delayed", "delivered", "relayed", "expanded"):
        return word
    if word and not _FAILED.search(word):
        return word
    if not word and ("will-retry-until" in group or status.startswith("2")):
        return "delayed" if "will-retry-until" in group else "delivered"
    return "failed" if word or status or group.get("diagnostic-code") else ""


def _value(raw: bytes) -> str:
    """The value after the type in `rfc822; user@example.com`; escapes of `utf-8` types are decoded (RFC 6533)."""
    kind, semicolon, text = header_text(raw).partition(";")
    text = (text if semicolon else kind).strip().removeprefix("<").removesuffix(">")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return clean(_CODE_POINT.sub(_character, text)) if kind.strip().lower() == "utf-8" else text


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    return chr(number) if number <= 0x10FFFF else match[0]
