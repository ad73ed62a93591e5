"""Recognizes automatic replies by header and subject."""

from __future__ import annotations

import re

_AUTO_SUBJECT = re.compile(
    r"(?:auto|oof|ooo):|auto(?:matic|mated|matische|matisk)?[ -]?(?:reply|response|antwort|antwoord|svar)"
    r"|(?:r[eé]ponse|respuesta|resposta|risposta) autom[aá]ti(?:ca?|que)|out of (?:the )?office"
    r"|vacation (?:reply|response)|abwesenheit|absence du bureau|fuori sede|автоответ"
    r"|автоматический ответ|自動返信|自動回覆|自动回复",
    re.IGNORECASE,
)
_SUPPRESSED = re.compile(r"\b(?:all|oof|autoreply)\b", re.IGNORECASE)
"""Values of X-Auto-Response-Suppress that ask for no automatic reply; mostly auto-responders themselves set them."""
_AUTO_FIELDS = frozenset({"x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-response"})


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
