"""Encodes text that is not plain ASCII for headers: encoded words (RFC 2047) and parameters (RFC 2231).

No piece is cut inside a character. An encoded word has at most 75 characters and uses only those that are legal
wherever an encoded word may occur. The text decodes unchanged, including control characters, which cannot end a line
when encoded. Nothing is refused here; callers have already refused CR, LF, NUL and lone surrogates.
"""

from __future__ import annotations

import binascii
import re
import string
from collections.abc import Iterator
from urllib.parse import quote

WORD_LENGTH = 75
"""Maximum characters of an encoded word, including delimiters (RFC 2047 §2)."""
SHORTEST_WORD = 24
"""Characters that one character of four octets takes in either encoding, including delimiters."""

_FRAME = len("=?UTF-8?Q??=")
# RFC 2047 §5 (3): the only characters that need no encoding inside a phrase; the space becomes "_".
_Q_SAFE = frozenset(string.ascii_letters + string.digits + "!*+-/ ")
_Q = [chr(n) if chr(n) in _Q_SAFE else f"={n:02X}" for n in range(256)]
_Q[0x20] = "_"
_Q_SAFE_OCTETS = "".join(_Q_SAFE).encode()
_NOTHING: frozenset[str] = frozenset()

_ATTRIBUTE_EXTRA = "!#$&+^`{}|"
_ATTRIBUTE_SAFE = frozenset(string.ascii_letters + string.digits + "-._~" + _ATTRIBUTE_EXTRA)
# Also legal in a bare value, but left out: ' * and %, which readers may interpret by RFC 2231.
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+.^_`{|}~-]{1,60}")
# Quote and backslash are left out: readers disagree about undoing their escapes.
_QUOTABLE = re.compile(r"[ !#-\[\]-~]{1,60}")
_SECTION = 50
_NEXT_WORD = "\r\n "


def _split(text: str, safe: frozenset[str], weight: int, first: int, rest: int) -> Iterator[str]:
    """Cut `text` into pieces costing at most `first`, then `rest`: 1 for a safe character, else octets x `weight`."""
    start = cost = 0
    room = first
    for at, char in enumerate(text):
        size = 1 if char in safe else weight * _octets(char)
        if cost + size > room and at > start:
            yield text[start:at]
            start, cost, room = at, 0, rest
        cost += size
    yield text[start:]


def _octets(char: str) -> int:
    return 1 if char < "\x80" else 2 if char < "\u0800" else 3 if char < "\U00010000" else 4


def encoded_words(text: str, first: int = WORD_LENGTH) -> list[str]:
    """`text` as encoded words in UTF-8: Q if at least half of it stays readable, else B.

    The first word has at most `first` characters, which must be at least `SHORTEST_WORD`.
    """
    data = text.encode()
    if 2 * len(data.translate(None, _Q_SAFE_OCTETS)) <= len(data):
        pieces = _split(text, _Q_SAFE, 3, first - _FRAME, WORD_LENGTH - _FRAME)
        return [f"=?UTF-8?Q?{''.join(map(_Q.__getitem__, piece.encode()))}?=" for piece in pieces]
    pieces = _split(text, _NOTHING, 1, (first - _FRAME) // 4 * 3, (WORD_LENGTH - _FRAME) // 4 * 3)
    return [f"=?UTF-8?B?{binascii.b2a_base64(piece.encode(), newline=False).decode()}?=" for piece in pieces]


def parameter(name: str, value: str) -> list[str]:
    """One MIME parameter as one or more `name=value` pieces, without the semicolons between them.

    Bare or quoted if short and plain, else by RFC 2231: `name*=utf-8''...`, or numbered sections if long.
    """
    if _TOKEN.fullmatch(value):
        return [f"{name}={value}"]
    if _QUOTABLE.fullmatch(value) and "=?" not in value:
        return [f'{name}="{value}"']
    pieces = [quote(piece, safe=_ATTRIBUTE_EXTRA) for piece in _split(value, _ATTRIBUTE_SAFE, 3, _SECTION, _SECTION)]
    pieces[0] = "utf-8''" + pieces[0]
    if len(pieces) == 1:
        return [f"{name}*={pieces[0]}"]
    return [f"{name}*{n}*={piece}" for n, piece in enumerate(pieces)]


def old_parameter(name: str, value: str) -> str:
    """One MIME parameter for readers that do not know RFC 2231: quoted encoded words, against RFC 2047 §5 (3).

    Such readers, including some web mail and old Outlook, would otherwise show no file name; others decode it too.
    """
    if _TOKEN.fullmatch(value):
        return f"{name}={value}"
    if _QUOTABLE.fullmatch(value) and "=?" not in value:
        return f'{name}="{value}"'
    words = encoded_words(value, WORD_LENGTH - len(name) - 4)
    return f'{name}="{_NEXT_WORD.join(words)}"'
