"""Which answers say that the sender has used up what the provider lets it send, and for how long. Pure.

Such an answer concerns every message of the account, and is no verdict on the one at hand, whatever its code says. A
recipient that gets too much mail, or whose mailbox is full, is something else.
"""

from __future__ import annotations

import re

import msgspec

from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Verdict

UNLESS_IT_SAYS = 86_400.0
"""Seconds for which an account is closed if the answer does not say for how long."""
SHORTEST, LONGEST = 60.0, 7 * 86_400.0
"""Seconds: what an answer says counts within these bounds."""
HOUR = 3600.0


class QuotaAnswer(msgspec.Struct, frozen=True):
    """How one provider says it. `status`: the enhanced status codes, all if empty; `text` is searched in the reply."""

    provider: str
    status: tuple[str, ...]
    text: str
    source: str


_GOOGLE = "https://support.google.com/a/answer/3726730 (2026-11)"
_MICROSOFT = "https://learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr (2026-11)"
QUOTA_ANSWERS = (
    QuotaAnswer("Gmail", ("5.4.5", "5.4.6"), r"(limit|quota) exceeded|exceeded .*(limit|quota)", _GOOGLE),
    QuotaAnswer("Gmail relay", ("5.7.1", "4.7.1"), r"SMTP relay (sending )?limit exceeded", _GOOGLE),
    QuotaAnswer("Microsoft 365", (), r"SubmissionQuotaExceeded|submission quota was exceeded", _MICROSOFT),
    QuotaAnswer("Microsoft 365", ("5.7.232", "5.7.233", "5.7.705"), r"exceeded", _MICROSOFT),
    # Microsoft bars an account that has exceeded a limit of what it may send.
    QuotaAnswer("Microsoft 365", ("5.1.8",), r"bad outbound sender", _MICROSOFT),
    QuotaAnswer("Microsoft 365", ("5.1.90",), r"daily limit", _MICROSOFT),
    QuotaAnswer("cPanel, Exim", (), r"exceeded the max(imum)? (defers and failures|emails) per (hour|day)", "Exim"),
    QuotaAnswer(
        "Amazon SES",
        (),
        r"Daily message quota exceeded",
        "https://docs.aws.amazon.com/ses/latest/dg/manage-quotas.html",
    ),
    QuotaAnswer(
        "others",
        (),
        r"\b(daily|hourly|sending|submission|outgoing|outbound)\b[^.;]{0,40}\b(limit|quota)\b[^.;]{0,40}"
        r"\b(exceeded|reached|used up)",
        "",
    ),
    QuotaAnswer(
        "others",
        (),
        r"\b(exceeded|reached)\b[^.;]{0,40}\b(sending|daily|hourly|submission|outgoing|outbound)\b[^.;]{0,30}"
        r"\b(limit|quota)\b",
        "",
    ),
)
"""What is known; a reply that fits any of them closes the account."""

_PATTERNS = [(each.status, re.compile(each.text, re.IGNORECASE)) for each in QUOTA_ANSWERS]
_ABOUT_THE_RECIPIENT = re.compile(r"receive|receiving|inbound|mailbox|trying to (contact|reach)", re.IGNORECASE)
_AGAIN_IN = re.compile(
    r"\b(?:try|retry|again|wait|resume)\b[^.]{0,40}?\b(?:in|after|for)\s+(\d{1,7})\s*(s|sec|m|min|h|d)[a-z]*\b",
    re.IGNORECASE,
)
_UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": HOUR, "d": 86_400.0}
_PER_HOUR = re.compile(r"\bhour", re.IGNORECASE)


def closes_for(verdict: Verdict) -> float | None:
    """For how many seconds the answer closes the account; None: it does not speak of the sender's quota."""
    if verdict.kind not in (Kind.LATER, Kind.REJECTED) or verdict.code is None or verdict.stage in BEFORE_ANY_MESSAGE:
        return None
    if _ABOUT_THE_RECIPIENT.search(verdict.text) or not any(
        (not status or verdict.enhanced in status) and text.search(verdict.text) for status, text in _PATTERNS
    ):
        return None
    if (said := _AGAIN_IN.search(verdict.text)) is not None:
        return min(max(int(said[1]) * _UNITS[said[2].lower()], SHORTEST), LONGEST)
    return HOUR if _PER_HOUR.search(verdict.text) else UNLESS_IT_SAYS
