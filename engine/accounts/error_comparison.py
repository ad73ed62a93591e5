"""Whether two errors are the same, apart from text that a server varies each time. Pure.

Servers add the time, a session id, a connection count or the name of a machine. Those are removed, and what is left is
compared: the words, and the short error code. It never raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TAG = re.compile(r"\A(?:[A-Z]+[0-9]+|\*) (?=(?:NO|BAD|BYE|OK)\b)")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_CODE = re.compile(r"\[([A-Z][A-Z-]+)(?: [^]]*)?\]")
_BRACKETS = re.compile(r"<[^<>]*>|\[[^][]*\]|\{[^{}]*\}|\([^()]*[0-9=@:][^()]*\)")
_ROUND = re.compile(r"\(([^()]*)\)")
_VALUE = re.compile(r"\b([\w.-]+)=(?:\"[^\"]*\"|\S+)")
_NAMED_ID = re.compile(
    r"\b((?:session|request|transaction|trace|queue|connection|ticket|ref|reference|incident|support)"
    r"(?:[ -]?(?:id|number|code|no))?|id)\s*[:#]\s*\S+",
    re.IGNORECASE,
)
_PIECE = re.compile(r"[^\s,;!?\"'`]+")
_DATE_WORD = re.compile(
    r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
    r"|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?|[ap]\.?m|utc|gmt|[cmpe][sed]t|cest",
    re.IGNORECASE,
)
_HEX = re.compile(r"[0-9a-f]{8,}", re.IGNORECASE)
_RANDOM = re.compile(r"(?=\S*[a-z]\S*[A-Z])[\w+/=-]{8,}")
"""Letters of mixed case, as in base64, which no ordinary word has."""


def gist(error: Mapping[str, Any]) -> tuple[str, str]:
    """What identifies an error in the form of `lastError`: its code and its words."""
    return str(error.get("serverResponseCode") or ""), words(str(error.get("response") or ""))


def words(text: str) -> str:
    """The words of an error text in lower case, without the variable parts."""
    text = _TAG.sub("", text)
    text = _URL.sub(" ", text)
    text = _CODE.sub(r" \1 ", text)
    while (shorter := _BRACKETS.sub(" ", text)) != text:
        text = shorter
    text = _ROUND.sub(lambda match: " " if any(map(_changes, _PIECE.findall(match[1]))) else match[0], text)
    text = _NAMED_ID.sub(r"\1", _VALUE.sub(r"\1", text))
    kept = (piece.strip(".:()[]{}<>#*-_/\\|") for piece in _PIECE.findall(text))
    return " ".join(piece.lower() for piece in kept if piece and not _changes(piece))


def _changes(piece: str) -> bool:
    return (
        any(letter.isdigit() for letter in piece)
        or "@" in piece
        or "." in piece
        or _DATE_WORD.fullmatch(piece) is not None
        or _HEX.fullmatch(piece) is not None
        or _RANDOM.fullmatch(piece) is not None
    )
