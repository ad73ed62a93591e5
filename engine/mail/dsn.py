"""Delivery status notifications (RFC 3464): what became of a message at each recipient.

Takes the bytes of the `message/delivery-status` part and of the original's header. It never raises; what is missing is
empty, and a part without any recipient gives a report without recipients.
"""

from __future__ import annotations

import re

import msgspec

from engine.mail.decode import header_text
from engine.mail.fields import fields, raw_fields

LONGEST = 65_536
RECIPIENTS = 1000
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_CATEGORIES = {
    "1.1": "user_unknown",
    "1.2": "invalid_address",
    "1.3": "invalid_address",
    "1.10": "invalid_address",
    "2.1": "mailbox_disabled",
    "2.2": "mailbox_full",
    "4.4": "server_error",
    "7.1": "policy_blocked",
    "7.26": "auth_failure",
}


class RecipientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it at one recipient.

    `action` is `failed`, `delayed`, `delivered`, `relayed` or `expanded`; `status` the enhanced code (`5.1.1`);
    `source` what kind of text `diagnostic` is (`smtp`). All lower case but the texts.
    """

    recipient: str
    original: str
    action: str
    status: str
    source: str
    diagnostic: str
    remote_mta: str


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """One notification. `message_id` is the original's, with its angle brackets, empty if not told."""

    envelope_id: str
    reporting_mta: str
    recipients: tuple[RecipientStatus, ...]
    message_id: str
    headers: dict[str, list[str]]


def read_delivery_status(status: bytes, original: bytes) -> DeliveryReport:
    """The report in these parts, each at most 64 KiB of it."""
    groups = [group for group in re.split(rb"\r?\n[ \t]*\r?\n", status[:LONGEST].strip()) if group.strip()]
    of_message = dict(raw_fields(groups[0])) if groups else {}
    headers = fields(original[:LONGEST])
    return DeliveryReport(
        envelope_id=header_text(of_message.get("original-envelope-id", b"")),
        reporting_mta=_value(of_message.get("reporting-mta", b"")),
        recipients=tuple(filter(None, (_recipient(dict(raw_fields(group))) for group in groups[:RECIPIENTS]))),
        message_id=message_id(headers),
        headers=headers,
    )


def message_id(headers: dict[str, list[str]]) -> str:
    """The Message-ID of a header, empty if there is none."""
    match = _MESSAGE_ID.search((headers.get("message-id") or [""])[0])
    return match[0] if match else ""


def category(status: str) -> str:
    """What an enhanced status code means, in one word."""
    return _CATEGORIES.get(status.partition(".")[2], "unknown")


def _recipient(group: dict[str, bytes]) -> RecipientStatus | None:
    final, action = _value(group.get("final-recipient", b"")), header_text(group.get("action", b"")).lower()
    if not final and not group.get("original-recipient"):
        return None
    diagnostic = header_text(group.get("diagnostic-code", b""))
    source, semicolon, text = diagnostic.partition(";")
    found = _STATUS.search(header_text(group.get("status", b""))) or _STATUS.search(diagnostic)
    original = _value(group.get("original-recipient", b""))
    return RecipientStatus(
        recipient=final or original,
        original=original,
        action=action.partition(" ")[0],
        status=found[1] if found else "",
        source=source.strip().lower() if semicolon else "",
        diagnostic=text.strip() if semicolon else diagnostic,
        remote_mta=_value(group.get("remote-mta", b"")),
    )


def _value(raw: bytes) -> str:
    """What follows the type in `rfc822; user@example.com`."""
    text = header_text(raw)
    return text.partition(";")[2].strip().strip("<>") if ";" in text else text.strip("<>")
