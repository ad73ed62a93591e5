"""Reads feedback reports (RFC 5965): a provider reports that a person marked a message as unwanted.

Takes the bytes of the `message/feedback-report` part and of the original's header. It never raises.
"""

from __future__ import annotations

import msgspec

from engine.mail.dsn import LONGEST, message_id
from engine.mail.header_reading import fields


class FeedbackReport(msgspec.Struct, frozen=True, kw_only=True):
    """One report; missing texts are empty. `headers` are the original's."""

    feedback_type: str
    user_agent: str
    version: str
    original_mail_from: str
    original_rcpt_to: tuple[str, ...]
    original_envelope_id: str
    source_ip: str
    arrival_date: str
    reporting_mta: str
    message_id: str
    headers: dict[str, list[str]]


def read_feedback(report: bytes, original: bytes) -> FeedbackReport:
    """Read the report in these parts, at most 64 KiB of each."""
    said, headers = fields(report[:LONGEST]), fields(original[:LONGEST])

    def one(*names: str) -> str:
        return next((said[name][0] for name in names if said.get(name)), "")

    return FeedbackReport(
        feedback_type=one("feedback-type").lower(),
        user_agent=one("user-agent"),
        version=one("version"),
        original_mail_from=one("original-mail-from").strip("<>"),
        original_rcpt_to=tuple(each.strip("<>") for each in said.get("original-rcpt-to", [])),
        original_envelope_id=one("original-envelope-id"),
        source_ip=one("source-ip"),
        arrival_date=one("arrival-date", "received-date"),
        reporting_mta=one("reporting-mta").rpartition(";")[2].strip(),
        message_id=message_id(headers),
        headers=headers,
    )
