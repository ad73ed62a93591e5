"""Why a message bounced, in one word, and whether the failure is permanent.

The words are EmailEngine's. The server's text decides first, since its codes are often generic; then the enhanced
status code, then the reply code. A **hard** bounce is a permanent failure, by the class of the code. A **soft** one is
temporary: its code says so, the mailbox is full, or there was too much mail at once.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from engine.mail.bounce_phrases import PHRASES

_OF_THE_ADDRESS = frozenset({"user_unknown", "invalid_address", "mailbox_disabled"})
_PASSES = frozenset({"mailbox_full", "greylisting", "rate_limited"})
ABOUT_THE_ADDRESS = _OF_THE_ADDRESS | {"policy_blocked", "unknown"}
"""Categories of what may be said of an address for good; the others are about the message, the sender or a server."""
ACTIONS = {
    "user_unknown": "remove",
    "invalid_address": "remove",
    "mailbox_disabled": "remove",
    "mailbox_full": "retry",
    "greylisting": "retry",
    "rate_limited": "retry",
    "server_error": "retry",
    "ip_blacklisted": "retry_different_ip",
    "geo_blocked": "retry_different_ip",
    "domain_blacklisted": "fix_configuration",
    "auth_failure": "fix_configuration",
    "relay_denied": "fix_configuration",
    "virus_detected": "remove_content",
    "spam_blocked": "review",
    "policy_blocked": "review",
    "unknown": "review",
}
"""Every category, with EmailEngine's word for the recommended action."""

_STATUS = {
    "1.0": "user_unknown",
    "1.1": "user_unknown",
    "1.2": "invalid_address",
    "1.3": "invalid_address",
    "1.4": "invalid_address",
    "1.6": "user_unknown",
    "1.10": "invalid_address",
    "1.7": "policy_blocked",
    "1.8": "policy_blocked",
    "2.1": "mailbox_disabled",
    "2.2": "mailbox_full",
    "2.3": "policy_blocked",
    "2.4": "server_error",
    "3.1": "server_error",
    "3.4": "policy_blocked",
    "6.": "policy_blocked",
    "3.": "server_error",
    "4.": "server_error",
    "5.": "server_error",
    "7.8": "auth_failure",
    "7.9": "auth_failure",
    "7.20": "auth_failure",
    "7.21": "auth_failure",
    "7.22": "auth_failure",
    "7.23": "auth_failure",
    "7.24": "auth_failure",
    "7.25": "ip_blacklisted",
    "7.26": "auth_failure",
    "7.27": "invalid_address",
    "7.28": "rate_limited",
    "7.509": "auth_failure",
    "7.515": "auth_failure",
    "7.606": "ip_blacklisted",
    "7.": "policy_blocked",
}
_REPLY = {
    "421": "server_error",
    "450": "server_error",
    "451": "server_error",
    "452": "mailbox_full",
    "552": "mailbox_full",
}
_CODE = re.compile(r"(?<![\d.])[245]\d\d(?![\d.])")
_VAGUE = frozenset({"server_error", "policy_blocked"})
"""Categories whose phrases are common in replies, so that a specific status code says more."""
_OF_THE_SENDER = frozenset({"1.7", "1.8"})
"""Status codes with which "not found" concerns the sender, not the recipient."""
_GAPS = re.compile(r"[\W_]+")
_LONGEST = 2048


def _pattern(phrases: str) -> re.Pattern[str]:
    whole = re.sub(r"\|\s+", "|", phrases.strip())
    lines = [[token.replace("_", " ") for token in line.split()] for line in whole.splitlines()]
    alternatives = [
        " ".join(rf"(?:{token})" for token in line).replace(" (?:..) ", r" (?:\w{1,40} ){0,5}?") for line in lines
    ]
    return re.compile(rf"(?<!\w)(?:{'|'.join(alternatives)})(?!\w)")


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    # Compiled at the first bounce, so that they do not delay a start.
    return {name: _pattern(phrases) for name, phrases in PHRASES.items()}


def category(status: str, text: str) -> str:
    """One of `ACTIONS`; `status` is an enhanced code or "", `text` the server's text."""
    subject = status.partition(".")[2]
    if subject in _OF_THE_SENDER:
        return _STATUS[subject]
    said = _in_words(text)
    if said is not None and said not in _VAGUE:
        return said
    if subject in _STATUS:
        return _STATUS[subject]
    if said is not None:
        return said
    code = _CODE.search(text[:_LONGEST])
    return (
        _STATUS.get(subject.partition(".")[0] + ".") or (_REPLY.get(code[0]) if code is not None else None) or "unknown"
    )


def clear_category(text: str) -> str | None:
    """The category that the words of a reply alone tell; None if they tell none, or too little."""
    said = _in_words(text)
    return None if said in _VAGUE else said


def _in_words(text: str) -> str | None:
    words = _GAPS.sub(" ", text[:_LONGEST].lower())
    return next((name for name, pattern in _patterns().items() if pattern.search(words)), None)


def bounce_type(category: str, status: str, text: str) -> Literal["hard", "soft"]:
    """Whether the failure is permanent; `status` and `text` are as for `category`.

    The class of the enhanced code decides (RFC 3463), else that of the reply code, else the category.
    """
    if category in _PASSES:
        return "soft"
    if status and not (status == "4.0.0" and category in _OF_THE_ADDRESS):
        return "hard" if status.startswith("5") else "soft"
    code = _CODE.search(text[:_LONGEST])
    if code is not None and not status:
        return "hard" if code[0].startswith("5") else "soft"
    return "soft" if category == "server_error" else "hard"
