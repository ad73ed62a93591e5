"""Decodes a large JSON body without delaying everything else.

A decoder in C holds the interpreter until it is done, even in a thread: a body of 50 MB would stop all answers for a
tenth of a second. So the long strings, which make up nearly all of such a body, are first lifted out, and each is
decoded in slices, between which other threads run. What is left is short.

The result is that of plain decoding, but with long strings as `Long`. Raises `msgspec.DecodeError` for what is not
JSON, and `TooManyValues` if the body without its long strings is larger than any real request.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pybase64

from engine.decoding.json_errors import TOO_SHORT, place_of, placed

LONG = 4096
"""Strings with more bytes than this are lifted out."""
MOST_BESIDE = 8 * 1024**2
"""Maximum bytes of a body besides them; 4,000 recipients with long names take 2 MiB."""
SLICE = 256 * 1024

# Stops before an escape, or a surrogate pair, that the slice cuts off.
_INSIDE = re.compile(
    rb'(?:[^"\\]++'
    rb"|\\[^u]"
    rb"|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][^c-fC-F]))"
    rb")*+",
    re.DOTALL,
)
_ESCAPE = re.compile(
    rb"(\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}", re.DOTALL
)
_NAME = re.compile(rb"[ \t\r\n]*+:")
_NUL = b"\\u0000"
_IN_PLACE = b'\\u0000%d"'
_BLANK = b" \t\r\n\f\v"
_STRUCTURE = b"{[,:"
_QUOTE = 0x22

_json = msgspec.json.Decoder()


class TooManyValues(ValueError):
    """A body is larger, apart from its long strings, than any real request; the text states the limit."""


class Long:
    """A long string of a request that is not decoded yet: the bytes `start` to `end` of `data`."""

    def __init__(self, data: bytearray, start: int, end: int) -> None:
        self._data = data
        self.start = start
        self.end = end

    def text(self, most: int) -> str | None:
        """The string; None if it has more than `most` characters. Raises `msgspec.DecodeError`."""
        parts: list[str] = []
        length = 0
        for piece in self._slices():
            parts.append(_string(piece))
            length += len(parts[-1])
            if length > most:
                return None
        return "".join(parts)

    def octets(self) -> bytearray:
        """The string decoded from base64, ignoring white space. Raises `binascii.Error` if it is not base64."""
        found = bytearray()
        rest, ended = b"", False
        for piece in self._slices():
            if b"\\" in piece:
                piece = _string(piece).encode()
            rest += piece.translate(None, _BLANK)
            if ended and rest:
                raise binascii.Error("something follows the padding")
            whole = len(rest) - len(rest) % 4
            found += _decoded(rest[:whole])
            ended, rest = rest.endswith(b"=", 0, whole), rest[whole:]
        if rest:
            raise binascii.Error("the end is missing")
        return found

    def _slices(self) -> Iterator[bytes]:
        """Its bytes, cut between characters."""
        at = self.start
        while at < self.end:
            # Include the closing quote: what follows decides whether a surrogate is half a pair.
            end = _inside(self._data, at, self.end + 1)
            while at < end < self.end and self._data[end] & 0xC0 == 0x80:
                end -= 1
            if end == at:
                raise msgspec.DecodeError("a string is not valid")
            yield bytes(self._data[at:end])
            at = end


def plain(data: bytes | bytearray) -> Any:
    """Decode plain JSON; half a surrogate pair becomes U+FFFD. Raises `msgspec.DecodeError`, `RecursionError`."""
    try:
        return _json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        mended = _ESCAPE.sub(lambda match: match[1] or rb"\ufffd", data) if b"\\u" in data else data
        if mended == data:
            raise msgspec.DecodeError(str(error)) from error
    return plain(mended)


def refuse_crowd(data: bytes | bytearray, most: int) -> None:
    """Raise `TooManyValues` for more than `most` members; structural characters inside strings count too."""
    if len(data) > most and len(data) - len(data.translate(None, _STRUCTURE)) > most:
        raise TooManyValues(f"it has more than {most} members and items")


def decode_large(data: bytearray, most: int) -> Any:
    """Decode `data`, long strings as `Long`. Raises `TooManyValues`, `msgspec.DecodeError`, `RecursionError`."""
    skeleton, lifted = _lift(data, most)
    refuse_crowd(skeleton, most)
    try:
        value = plain(skeleton)
    except msgspec.DecodeError as error:
        if (found := place_of(error)) is None:
            raise
        reason, at = found
        raise placed(reason, _at_in_data(at, lifted)) from error
    return _put_back(value, lifted)


def _at_in_data(at: int, lifted: list[Long]) -> int:
    """Map byte `at` of the remainder to its position in the data."""
    away = 0
    for number, long in enumerate(lifted):
        begin, stands_in = long.start - away, len(_IN_PLACE % number)
        if at < begin + stands_in:
            break
        away += long.end + 1 - long.start - stands_in
    return at + away


def _lift(data: bytearray, most: int) -> tuple[bytes, list[Long]]:
    """The remainder, with a NUL and a number for each lifted string; strings that contain a NUL are lifted too."""
    parts: list[bytearray | bytes] = []
    lifted: list[Long] = []
    at = kept = beside = strings = 0
    while (start := data.find(b'"', at)) >= 0:
        end = _end_of_string(data, start + 1)
        at = end + 1
        strings += 1
        if strings > 2 * most:
            raise TooManyValues(f"it has more than {most} members and items")
        if end - start <= LONG and data.find(_NUL, start, end) < 0:
            continue
        if _NAME.match(data, at):
            if end - start > LONG:
                raise TooManyValues(f"the name of a member is longer than {LONG} bytes")
            continue
        beside += start - kept
        _refuse_bulk(beside)
        parts += (data[kept : start + 1], _IN_PLACE % len(lifted))
        lifted.append(Long(data, start + 1, end))
        kept = at
    _refuse_bulk(beside + len(data) - kept)
    parts.append(data[kept:])
    return b"".join(parts), lifted


def _refuse_bulk(size: int) -> None:
    if size > MOST_BESIDE:
        raise TooManyValues(f"it holds more than {MOST_BESIDE} bytes besides its texts and attachments")


def _put_back(value: Any, lifted: list[Long]) -> Any:
    if isinstance(value, str):
        return lifted[int(value[1:])] if value[:1] == "\0" else value
    if isinstance(value, list):
        return [_put_back(each, lifted) for each in value]
    if isinstance(value, dict):
        return {name: _put_back(each, lifted) for name, each in value.items()}
    return value


def _end_of_string(data: bytearray, at: int) -> int:
    """The position of the closing quote of the string that begins at `at`."""
    while (end := _inside(data, at, len(data))) > at:
        at = end
    if at == len(data):
        raise msgspec.DecodeError(TOO_SHORT)
    if data[at] != _QUOTE:
        raise placed("invalid character", at)
    return at


def _decoded(letters: bytes) -> bytes:
    """Base64 of whole groups. Raises `binascii.Error`."""
    try:
        # Many times as fast.
        return pybase64.b64decode(letters, validate=True)
    except binascii.Error:
        return binascii.a2b_base64(letters, strict_mode=True)


def _inside(data: bytearray, at: int, end: int) -> int:
    """Where a string's content from `at` on ends: at its quote, at an invalid escape, or after one slice."""
    stop = min(at + SLICE, end)
    quote = data.find(b'"', at, stop)
    stop_at_quote = stop if quote < 0 else quote
    if data.find(b"\\", at, stop_at_quote) < 0:
        # As base64 is: ten times as fast.
        return stop_at_quote
    match = _INSIDE.match(data, at, stop)
    return match.end() if match else at


def _string(piece: bytes) -> str:
    try:
        return str(_json.decode(b'"%b"' % piece))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The standard library's decoder keeps half pairs, and is faster than `_ESCAPE` if there are many.
        try:
            text = str(json.loads(b'"%b"' % piece))
        except ValueError:
            raise msgspec.DecodeError(str(error)) from error
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
