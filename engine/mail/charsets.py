"""Decodes bytes in a named charset as browsers and mail programs do.

It never raises, and every text that it returns can be encoded. An invalid byte costs one U+FFFD and never the text
around it. A byte order mark overrides any label. Without a known label, the charset is guessed. No label reaches
Python's codecs that are not charsets of mail (`unicode_escape`, `idna`, `rot13`). Time is proportional to the input.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import lru_cache

from engine.mail import iso2022
from engine.mail.charset_guess import WESTERN, guess, japanese
from engine.mail.charset_labels import ASCII, encoding

REPLACEMENT = "\ufffd"
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))

# Python's codecs for names under which Python has none, or the wrong one.
_CODECS = {
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "macintosh": "mac-roman",
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
}
_SEVERAL_BYTES = frozenset({"utf-8", "utf-7", "utf-16le", "utf-16be", "utf-32le", "utf-32be"}) | frozenset(
    {"big5", "euc-kr", "gbk", "gb18030", "shift_jis", "johab", "hz"}
)
# Differences between Python's table and the web's.
_OTHERWISE = {"koi8-u": {0xAE: "ў", 0xBE: "Ў"}}


def decoded(data: bytes, label: str, *, cut: bool = False) -> str:
    """Decode `data`, which its sender labels `label` ("" for no label).

    `cut`: `data` ends where we stopped reading, so an incomplete character at its end is dropped.
    """
    if data.isascii() and b"\x1b" not in data and encoding(label) in (None, ASCII, "utf-8", WESTERN):
        return data.decode("ascii")
    name, start = _name(data, label)
    text = clean(_decode(data[start:], name))
    return text.rstrip(REPLACEMENT) if cut else text


def reversible(data: bytes, label: str) -> tuple[str, Callable[[str], bytes]] | None:
    """`data` as text, and a function that encodes it to the same octets; None if no such function is certain.

    An octet without a character in the charset becomes a lone surrogate (PEP 383).
    """
    name = encoding(label) or "utf-8"
    codec = "utf-8" if name == ASCII else _CODECS.get(name, name)

    def encoded(text: str) -> bytes:
        return text.encode(codec, "surrogateescape")

    try:
        text = data.decode(codec, "surrogateescape")
        return (text, encoded) if encoded(text) == data else None
    except (LookupError, ValueError):
        return None


def clean(text: str) -> str:
    """Make `text` encodable: join halves of a surrogate pair, and replace lone ones by U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _name(data: bytes, label: str) -> tuple[str, int]:
    """The encoding, and the number of octets of the byte order mark before the text."""
    for mark, marked in _MARKS:
        if data.startswith(mark):
            return marked, len(mark)
    name = encoding(label)
    if name is None:
        return guess(data), 0
    if name in (ASCII, "iso-2022-jp") and not data.isascii() and b"\x1b" not in data:
        # The label is wrong. For what is labelled ASCII and is not UTF-8 either, use the web's meaning of ASCII.
        return japanese(data) if name != ASCII else "utf-8" if guess(data) == "utf-8" else WESTERN, 0
    if name in ("utf-16", "utf-32"):
        width = int(name[4:]) // 8
        # Most characters have a high octet of zero, so more zeros in first place mean big-endian.
        return name + ("be" if data[::width].count(0) > data[width - 1 :: width].count(0) else "le"), 0
    return name, 0


def _decode(data: bytes, name: str) -> str:
    if (own := _OWN.get(name)) is not None:
        return own(data)
    if name in _SEVERAL_BYTES:
        return data.decode(_CODECS.get(name, name), _LENIENT)
    return codecs.charmap_decode(data, "replace", _table(name))[0]


@lru_cache(maxsize=64)
def _table(name: str) -> str:
    """The 256 characters of a charset; unassigned C1 bytes are the control characters of that number, as on the web."""
    codec, otherwise = _CODECS.get(name, name), _OTHERWISE.get(name, {})
    return "".join(otherwise.get(each) or _character(each, codec) for each in range(256))


def _character(byte: int, codec: str) -> str:
    try:
        return bytes([byte]).decode(codec)
    except UnicodeDecodeError:
        return chr(byte) if byte < 0xA0 else REPLACEMENT


def _lenient(error: UnicodeError) -> tuple[str, int]:
    """One U+FFFD for an invalid byte or an invalid pair of bytes."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    data, start = error.object, error.start
    if error.encoding not in ("gb18030", "cp932", "cp949", "big5hkscs", "johab"):
        return REPLACEMENT, error.end
    if data[start] == 0x80 and error.encoding == "gb18030":
        return "€", start + 1
    # An invalid pair is replaced as a whole, unless its second byte is ASCII: a lost byte must not swallow a letter.
    pair = 0x80 < data[start] < 0xFF and start + 1 < len(data) and data[start + 1] >= 0x80
    return REPLACEMENT, start + 1 + pair


_LENIENT = "engine.mail.charsets"
codecs.register_error(_LENIENT, _lenient)
_OWN: dict[str, Callable[[bytes], str]] = {
    ASCII: lambda data: data.decode("ascii", "replace"),
    "euc-jp": iso2022.euc_jp,
    "iso-2022-jp": iso2022.iso_2022_jp,
    "iso-2022-kr": iso2022.iso_2022_kr,
}
