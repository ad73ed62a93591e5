"""Header texts and body parts as a person reads them: encoded words, parameters, transfer encodings, charsets.

It never raises: mail in the wild breaks every rule, and what cannot be decoded is shown as near as can be (U+FFFD for
what is no character). What it returns can always be encoded: no lone surrogate leaves it. Time is proportional to the
input.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

_WORD = re.compile(rb"=\?([^?\s*]{1,64})(?:\*[^?\s]{0,64})?\?([BbQq])\?([^?]*)\?=")
_BETWEEN = re.compile(rb"[ \t\r\n]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BREAK = re.compile(r"[ \t]*[\r\n]+[ \t]*")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CHARSET = re.compile(
    r"utf-?(7|8|16|32)|iso(8859|2022)|cp[0-9]|big5|gb|hz|euc|shift_?jis|johab|koi8|kz1048|mac|tis-620|hp-roman8|ptcp154"
)
"""Codecs that are charsets of mail, by the start of Python's name for them; others undo escapes or mangle names."""
_SECTION = re.compile(r"(.+?)\*([0-9]{1,3})?(\*)?")
_ALIASES = {"utf8": "utf-8", "unicode-1-1-utf-7": "utf-7", "ks_c_5601-1987": "cp949", "x-unknown": "utf-8"}


def header_text(raw: bytes) -> str:
    """A header value with its encoded words decoded (RFC 2047), on one line."""
    if b"=?" not in raw and raw.isascii() and (simple := raw.decode("ascii")).isprintable():
        return simple.strip()
    text: list[str] = []
    words: list[tuple[str, bytes]] = []
    at = 0
    for match in _WORD.finditer(raw):
        between = raw[at : match.start()]
        # White space between two encoded words is not part of the text.
        if between and not (words and _BETWEEN.fullmatch(between)):
            text += [_joined(words), _plain(between)]
            words = []
        words.append((match[1].decode("ascii", "replace").lower(), _content(match[2], match[3])))
        at = match.end()
    text += [_joined(words), _plain(raw[at:])]
    return _CONTROL.sub("", _BREAK.sub(" ", "".join(text))).strip()


def parameter(parameters: Mapping[str, bytes], name: str) -> str:
    """A parameter such as `filename`, in any of the forms of RFC 2231; empty if there is none."""
    if (plain := parameters.get(name)) is not None:
        return header_text(plain)
    sections: dict[int, tuple[bytes, bool]] = {}
    for key, value in parameters.items():
        match = _SECTION.fullmatch(key)
        if match is not None and match[1] == name:
            # `name*=` is one whole encoded value, `name*0=` plain, `name*0*=` encoded.
            sections[int(match[2] or 0)] = (value, match[3] is not None or match[2] is None)
    if not sections:
        return ""
    charset = "utf-8"
    data = b""
    for number in sorted(sections):
        value, encoded = sections[number]
        if encoded and number == min(sections) and value.count(b"'") >= 2:
            written, _, value = value.split(b"'", 2)
            charset = written.decode("ascii", "replace") or charset
        data += unquote_to_bytes(value) if encoded else value
    return _CONTROL.sub("", _BREAK.sub(" ", decoded(data, charset))).strip()


def body_text(raw: bytes, encoding: str, charset: str) -> str:
    """A text part with LF line ends: transfer encoding undone, then its charset."""
    return decoded(body_bytes(raw, encoding), charset).replace("\r\n", "\n")


def body_bytes(raw: bytes, encoding: str) -> bytes:
    """A part with its transfer encoding undone; one cut short gives what was there."""
    if encoding == "base64":
        return _base64(raw)
    return quopri.decodestring(raw) if encoding == "quoted-printable" else raw


def decoded(data: bytes, charset: str) -> str:
    """Bytes in a named charset; in UTF-8, else Latin-1, where nobody knows that name or it does not fit."""
    name = charset.strip().strip("\"'").lower()
    name = _ALIASES.get(name, name)
    if name in ("", "us-ascii", "ascii", "utf-8"):
        return _plain(data)
    try:
        if _CHARSET.match(codecs.lookup(name).name):
            return clean(data.decode(name, "replace"))
    except (LookupError, ValueError):
        pass
    return _plain(data)


def clean(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, which UTF-7 can spell and nothing can encode."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _content(kind: bytes, data: bytes) -> bytes:
    return _base64(data) if kind in b"Bb" else quopri.decodestring(data.replace(b"_", b"=20"))


def _base64(data: bytes) -> bytes:
    letters = _NOT_BASE64.sub(b"", data)
    usable = len(letters) - (1 if len(letters) % 4 == 1 else 0)
    try:
        return base64.b64decode(letters[:usable] + b"=" * (-usable % 4))
    except binascii.Error:
        return b""


def _joined(words: list[tuple[str, bytes]]) -> str:
    # A character may be cut in two between words of one charset, so their bytes come together first.
    text: list[str] = []
    charset, data = "", b""
    for name, piece in words:
        if name != charset:
            text.append(decoded(data, charset))
            charset, data = name, b""
        data += piece
    return "".join([*text, decoded(data, charset)])


def _plain(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A text cut in the middle of its last character is still UTF-8.
        cut = error.reason == "unexpected end of data"
        return data[: error.start].decode("utf-8") if cut else data.decode("latin-1")
