"""Where and why the body of a request is not JSON, for whoever wrote it: a reason, a line and a column."""

from __future__ import annotations

import codecs
import re
from typing import Any

import msgspec

_PLACE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte (\d+)\)", re.DOTALL)
TOO_SHORT = "Input data was truncated"
"""The decoder's own words for it."""
SLICE = 256 * 1024
"""Bytes looked at in one go, so that others are not held up by a large body."""


def placed(reason: str, at: int) -> msgspec.DecodeError:
    """An error at byte `at`, worded as the decoder words its own."""
    return msgspec.DecodeError(f"{reason} (byte {at})")


def place_of(error: Exception) -> tuple[str, int] | None:
    """The reason of a decoder's error and the byte it is at; None where it does not say."""
    match = _PLACE.fullmatch(str(error))
    return None if match is None else (match[1], int(match[2]))


def explained(data: bytes | bytearray, error: Exception) -> dict[str, Any]:
    """`reason`, with `line` and `column` where they are known: both from 1, the column in characters."""
    if isinstance(error, RecursionError):
        return {"reason": "it is nested too deeply"}
    found = place_of(error)
    if found is None and str(error) == TOO_SHORT:
        found = ("it ends too early", len(data)) if data.strip() else ("it is empty", 0)
    if found is None and (at := _first_wrong_byte(data)) is not None:
        found = "a byte that is not UTF-8", at
    if found is None:
        return {"reason": str(error)}
    reason, at = found[0], min(found[1], len(data))
    start = data.rfind(b"\n", 0, at) + 1
    line = data.count(b"\n", 0, at) + 1
    return {"reason": reason, "line": line, "column": len(data[start:at].decode(errors="replace")) + 1}


def _first_wrong_byte(data: bytes | bytearray) -> int | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), SLICE):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + SLICE], final=start + SLICE >= len(data))
        except UnicodeDecodeError as error:
            return start - pending + error.start
    return None
