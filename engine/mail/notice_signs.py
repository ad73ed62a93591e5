"""Whether a message looks like a mail system's notice, before its text is fetched.

Decided by the header alone: sender, return path, subject. A sign is not a verdict; the text decides (`notices`).
"""

from __future__ import annotations

import re
from enum import IntEnum

_SYSTEM = re.compile(
    r"mail(?:er)?[-_. ]?daemon|po+st-?master|mail[-_. ]?(?:deliver(?:y|er)?|transport|system|administrator)"
    r"|delivery[-_. ]?(?:sub)?(?:system|service|agent|status)|\bndr\b|bounce"
)
_FAILED = re.compile(
    r"undeliver|non[- ]?d[eé]liver|not (?:been )?deliver|return(?:ed|ing) (?:mail|message|e-?mail|to sender)"
    r"|deliver\w*\W+(?:\w+\W+){0,3}(?:fail|error|problem|delay|status|report|notif|unsuccess|abort)"
    r"|(?:fail\w*|unsuccess\w*|error|problem)\W+(?:\w+\W+){0,2}(?:deliver|notice|sending|report)|mail (?:system )?error"
    r"|(?:message|mail)\W+(?:\w+\W+){0,6}(?:not|n't) (?:be )?(?:deliver|sen[dt])|delayed (?:mail|\d)|mail failed"
    r"|message (?:\S+ )?delayed|bounced?\b|message you sent blocked|see transcript for details|AWS Notification"
    r"|non remis|[eé]chec de|unzustellbar|nicht zugestellt|konnte nicht|no se (?:ha )?pud|no entregad|niet bezorgd"
    r"|n[aã]o (?:foi )?entreg|mancat[ao] (?:recapit|consegn)|onbestelbaar|недостав|не доставлен|не удалось"
    r"|не может быть доставлено|配信|配送|送信(?:でき|エラー|失敗)|エラー|失敗|退信|无法(?:投递|送达)",
    re.IGNORECASE,
)
_PERHAPS = re.compile(r"deliver|return|fail|bounce|error|notif|transcript")
_SYSTEM_PERHAPS = re.compile(rb"daemon|po+st-?master|mail[-_. ]?(?:del|tra|sys|adm)|deliver|ndr|bounce", re.IGNORECASE)
_NOBODY_PERHAPS = re.compile(
    rb"^(?:return-path[ \t]*:\s*<?\s*(?:>|null|mailer-daemon)|x-failed-rec)", re.IGNORECASE | re.MULTILINE
)
_TALK = re.compile(r"\s*(?:re|aw|sv|antw|fwd?|wg|tr|rv|enc|i)\s*(?:\[\d+\])?\s*:", re.IGNORECASE)
_NO_SENDER = re.compile(r"\s*<?\s*(?:null|mailer-daemon\b.*)?\s*>?\s*", re.IGNORECASE)
_LONGEST = 300


class Sign(IntEnum):
    """How surely a header belongs to a notice: not, perhaps, surely."""

    NONE = 0
    WEAK = 1
    STRONG = 2


def may_be(header: bytes, sender: bytes, subject: bytes) -> bool:
    """Whether computing the `sign` is worthwhile, judging by raw fields; this cheaply excludes most mail."""
    return (
        not sender
        or _NOBODY_PERHAPS.search(header) is not None
        or _SYSTEM_PERHAPS.search(sender) is not None
        or _PERHAPS.search(subject[:_LONGEST].lower().decode("latin-1")) is not None
    )


def sign(header: dict[str, list[str]], sender: str, subject: str) -> Sign:
    """The sign in a header; `sender` is the author's name and address, "" if there is no author."""
    sender, subject = sender[:_LONGEST], subject[:_LONGEST]
    if "x-failed-recipients" in header:
        return Sign.STRONG
    if _TALK.match(subject):
        # A person's reply to a notice, or a forwarded notice.
        return Sign.NONE
    nobody = any(_NO_SENDER.fullmatch(value) for value in header.get("return-path", []))
    system = _SYSTEM.search(sender.lower()) is not None
    written_by_none = nobody or system or not sender
    failed = (written_by_none or _PERHAPS.search(subject.lower())) and _FAILED.search(subject) is not None
    if failed and written_by_none:
        return Sign.STRONG
    if _answers(header) and not system:
        # An automatic reply for a person, marked as such.
        return Sign.NONE
    return Sign.WEAK if nobody or system or failed else Sign.NONE


def _answers(header: dict[str, list[str]]) -> bool:
    return any(value.strip().lower().startswith("auto-replied") for value in header.get("auto-submitted", []))
