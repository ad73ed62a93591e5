"""Says where and why a request body is not JSON: a reason, a line and a column."""

from __future__ import annotations

import codecs
import re
from typing import Any

import msgspec

_PLACE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte (\d+)\)", re.DOTALL)
TOO_SHORT = "Input data was truncated"
"""The decoder's message for a body that ends early."""
SLICE = 256 * 1024
"""Bytes examined at a time, so that a large body does not delay other requests."""


def placed(reason: str, at: int) -> msgspec.DecodeError:
    """An error at byte `at`, worded like the decoder's own."""
    return msgspec.DecodeError(f"{reason} (byte {at})")


def place_of(error: Exception) -> tuple[str, int] | None:
    """The reason and byte position of a decoder's error; None if it gives no position."""
    match = _PLACE.fullmatch(str(error))
    return None if match is None else (match[1], int(match[2]))


def explained(data: bytes | bytearray, error: Exception) -> dict[str, Any]:
    """`reason` and, if known, `line` and `column`: both counted from 1, the column in characters."""
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
