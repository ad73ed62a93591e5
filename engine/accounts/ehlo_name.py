"""The name that an account's SMTP sessions give in EHLO."""

from __future__ import annotations

from engine.model.registration import Registration


def ehlo_name(record: Registration, configured: str) -> str:
    """The account's own name, else the configured one, else the domain of its address."""
    domain = (record.email or "").rpartition("@")[2]
    return record.smtp_ehlo_name or configured or domain or "localhost"
