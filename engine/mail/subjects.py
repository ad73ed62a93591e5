"""The subject of a reply or a forward: one prefix, unless the original has one already, in any language."""

from __future__ import annotations

import re

_REPLY = (
    "re aw antw antwort sv vs odp rif r res ynt atb bls vá να απ ответ на відп отг 回复 回覆 答复 答覆 返信 회신 답장"
    " תגובה השב رد"
)
"""What mail programs of other languages put before the subject of a reply."""
_FORWARD = (
    "fwd fw wg tr rv enc i vb vl doorst pd ilt İlt fs továbbítás προωθ σχετ пересл пер переш препр 转发 轉寄 転送 전달"
    " הועבר"
)
"""The same for a forward."""
_COUNT = r"(?:\[\d{1,4}\]|\(\d{1,4}\)|\^\d{1,4})?"
_TAGS = r"(?:\[[^\[\]]{1,80}\]\s*+)*+"
"""What a mailing list puts before the whole subject."""


def _begins_with(words: str) -> re.Pattern[str]:
    return re.compile(rf"\s*+{_TAGS}(?:{'|'.join(map(re.escape, words.split()))})\s?{_COUNT}\s?[:：]", re.IGNORECASE)


_PREFIXED = {"Re": _begins_with(_REPLY), "Fwd": _begins_with(_FORWARD)}


def subject_of_reply(subject: str) -> str:
    """The subject of a reply to a message with this one."""
    return _prefixed("Re", subject)


def subject_of_forward(subject: str) -> str:
    """The subject of a forward of a message with this one."""
    return _prefixed("Fwd", subject)


def _prefixed(prefix: str, subject: str) -> str:
    return subject if _PREFIXED[prefix].match(subject) else f"{prefix}: {subject}".rstrip()
