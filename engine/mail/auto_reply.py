"""Recognizes automatic replies by header and subject, and tells those of people who are away from others."""

from __future__ import annotations

import re
from typing import Literal

from engine.mail.auto_reply_words import AWAY, TITLES, pattern

AutoReply = Literal["autoReply", "outOfOffice"]

_AUTO_SUBJECT = re.compile(pattern(TITLES), re.IGNORECASE)
_SUPPRESSED = re.compile(r"\b(?:all|oof|autoreply)\b", re.IGNORECASE)
"""Values of X-Auto-Response-Suppress that ask for no automatic reply; mostly auto-responders themselves set them."""
_AUTO_FIELDS = frozenset(
    {"x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-response", "x-vacation", "x-mail-autoreply"}
)
_AWAY = re.compile(pattern(AWAY), re.IGNORECASE)
_BEGINNING = 1000


def is_auto_reply(header: dict[str, list[str]], subject: str, *, answers: bool) -> bool:
    """Whether a program wrote this message as a reply (RFC 3834, and older conventions)."""
    # A keyword, perhaps followed by parameters or a comment.
    submitted = re.split(r"[;(\s]", (header.get("auto-submitted") or ["no"])[0].strip().lower(), maxsplit=1)[0]
    if submitted in ("auto-replied", "auto-notified"):
        return True
    if _AUTO_FIELDS & header.keys():
        return True
    precedence = (header.get("precedence") or [""])[0].strip().lower()
    if precedence.replace("-", "_") in ("auto_reply", "autoreply"):
        return True
    # Bulk senders also ask for no automatic reply, although they reply to nothing.
    to_many = "list-id" in header or precedence in ("bulk", "list", "junk")
    if not to_many and any(_SUPPRESSED.search(value) for value in header.get("x-auto-response-suppress", [])):
        return True
    return (answers or submitted != "no") and _AUTO_SUBJECT.match(subject) is not None


def kind_of_reply(header: dict[str, list[str]], subject: str, text: str, *, automatic: bool) -> AutoReply | None:
    """Which automatic reply a message is that answers a known one; None: a person wrote it.

    `automatic` is the result of `is_auto_reply`. `text` is the beginning of what it says, as far as known.
    """
    submitted = (header.get("auto-submitted") or ["no"])[0].strip().lower()
    precedence = (header.get("precedence") or [""])[0].strip().lower()
    # In a reply, `auto-generated` can only be a careless responder's. Old ones have no field but Precedence; so have
    # mailing lists, which pass on what people write.
    generated = submitted.startswith("auto-generated") and "list-id" not in header
    if not automatic and not generated and (precedence not in ("bulk", "junk") or "list-id" in header):
        return None
    away = "vacation" in submitted or _AWAY.search(subject) or _AWAY.search(text[:_BEGINNING])
    return "outOfOffice" if away else "autoReply"
