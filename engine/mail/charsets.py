"""Bytes in a named charset as text, the way the web and mail programs read them.

It never raises, and every text it returns can be encoded again. A byte that fits nowhere costs one U+FFFD and never the
text around it. A byte order mark in front wins over any name. Text without a name, or with one nobody knows, is guessed
at. Python's codecs that are no charsets of mail (`unicode_escape`, `idna`, `rot13`) cannot be reached by any name. Time
is proportional to the input.
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

# Python's codec where the name alone does not lead to the right one.
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
# Where Python's table differs from the one of the web.
_OTHERWISE = {"koi8-u": {0xAE: "ў", 0xBE: "Ў"}}


def decoded(data: bytes, label: str, *, cut: bool = False) -> str:
    """The text in `data`, which its sender calls `label`; "" for no name.

    `cut` says that `data` ends where we stopped reading, so that half a character at its end is none.
    """
    if data.isascii() and b"\x1b" not in data and encoding(label) in (None, ASCII, "utf-8", WESTERN):
        return data.decode("ascii")
    name, start = _name(data, label)
    text = clean(_decode(data[start:], name))
    return text.rstrip(REPLACEMENT) if cut else text


def clean(text: str) -> str:
    """`text` as it can be encoded: halves of a surrogate pair are joined, or U+FFFD where one stands alone."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _name(data: bytes, label: str) -> tuple[str, int]:
    """The encoding, and how many octets of a mark stand before the text."""
    for mark, marked in _MARKS:
        if data.startswith(mark):
            return marked, len(mark)
    name = encoding(label)
    if name is None:
        return guess(data), 0
    if name in (ASCII, "iso-2022-jp") and not data.isascii() and b"\x1b" not in data:
        # Not what it says it is. What is called ASCII and is not even UTF-8 is what the web takes ASCII for.
        return japanese(data) if name != ASCII else "utf-8" if guess(data) == "utf-8" else WESTERN, 0
    if name in ("utf-16", "utf-32"):
        width = int(name[4:]) // 8
        # Most characters of most texts begin with a zero, and so do their first octets if the high ones come first.
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
    """The 256 characters of a charset. C1 bytes without a character are the control of that number, as on the web."""
    codec, otherwise = _CODECS.get(name, name), _OTHERWISE.get(name, {})
    return "".join(otherwise.get(each) or _character(each, codec) for each in range(256))


def _character(byte: int, codec: str) -> str:
    try:
        return bytes([byte]).decode(codec)
    except UnicodeDecodeError:
        return chr(byte) if byte < 0xA0 else REPLACEMENT


def _lenient(error: UnicodeError) -> tuple[str, int]:
    """One U+FFFD for what cannot be read: a byte that begins nothing, or a pair that has no meaning."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    data, start = error.object, error.start
    if error.encoding not in ("gb18030", "cp932", "cp949", "big5hkscs", "johab"):
        return REPLACEMENT, error.end
    if data[start] == 0x80 and error.encoding == "gb18030":
        return "€", start + 1
    # The second byte of a pair goes with the first, unless it is ASCII: a lost byte must not swallow a letter.
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
