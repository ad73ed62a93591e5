"""Decodes header texts and body parts for display: encoded words, parameters, transfer encodings.

It never raises: real mail breaks every rule, and what cannot be decoded is shown as closely as possible. `charsets`
interprets all charsets. Time is proportional to the input.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from engine.mail.charset_guess import guess
from engine.mail.charset_labels import ASCII
from engine.mail.charset_labels import encoding as charset_of
from engine.mail.charsets import decoded
from engine.mail.transfer import body_bytes

_WORD = re.compile(rb"=\?([^?\s*]{1,64})(?:\*[^?\s]{0,64})?\?([BbQq])\?([^?]*)\?=")
_BETWEEN = re.compile(rb"[ \t\r\n]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BREAK = re.compile(r"[ \t]*[\r\n]+[ \t]*")
_SECTION = re.compile(r"(.+?)\*([0-9]{1,3})?(\*)?")
SHORT = 256
"""Maximum bytes of a value whose decoded form is cached."""
_META = re.compile(rb"<meta[^>]{0,200}?charset[ =\t\"']{1,8}([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_META_BYTES = 1024
"""Octets at the beginning of a page in which it may name its charset (HTML, section 4.2.5.4)."""
_CUT_ESCAPE = re.compile(rb"=[0-9A-Fa-f]?\Z")


def header_text(raw: bytes) -> str:
    """A header value with its encoded words decoded (RFC 2047), on one line."""
    if b"=?" not in raw and raw.isascii() and (simple := raw.decode("ascii")).isprintable():
        return simple.strip()
    return _short(raw) if len(raw) <= SHORT else _with_words(raw)


@lru_cache(maxsize=512)  # From, Sender and Reply-To often agree, and recur in other messages
def _short(raw: bytes) -> str:
    return _with_words(raw)


def _with_words(raw: bytes) -> str:
    text: list[str] = []
    words: list[tuple[str, bytes]] = []
    at = 0
    for match in _WORD.finditer(raw):
        between = raw[at : match.start()]
        # White space between two encoded words is not part of the text.
        if between and not (words and _BETWEEN.fullmatch(between)):
            text += [_joined(words), decoded(between, "")]
            words = []
        words.append((match[1].decode("ascii", "replace"), _content(match[2], match[3])))
        at = match.end()
    text += [_joined(words), decoded(raw[at:], "")]
    return _CONTROL.sub("", _BREAK.sub(" ", "".join(text))).strip()


def parameter(parameters: Mapping[str, bytes], name: str) -> str:
    """A parameter such as `filename`, in any form of RFC 2231; empty if there is none."""
    if (plain := parameters.get(name)) is not None:
        return header_text(plain)
    sections: dict[int, tuple[bytes, bool]] = {}
    for key, value in parameters.items():
        match = _SECTION.fullmatch(key)
        if match is not None and match[1] == name:
            # `name*=` is a complete encoded value, `name*0=` a plain section, `name*0*=` an encoded section.
            sections[int(match[2] or 0)] = (value, match[3] is not None or match[2] is None)
    if not sections:
        return ""
    charset = ""
    data = b""
    for number in sorted(sections):
        value, encoded = sections[number]
        if encoded and number == min(sections) and value.count(b"'") >= 2:
            written, _, value = value.split(b"'", 2)
            charset = written.decode("ascii", "replace")
        data += unquote_to_bytes(value) if encoded else value
    return _CONTROL.sub("", _BREAK.sub(" ", decoded(data, charset))).strip()


def body_text(raw: bytes, encoding: str, charset: str, *, cut: bool = False, html: bool = False) -> str:
    """A text part with LF line ends, decoded from its transfer encoding and its charset.

    `cut`: `raw` is only the beginning of the part. `html`: if the part does not say its charset, the page may.
    """
    if cut and encoding == "quoted-printable":
        raw = _CUT_ESCAPE.sub(b"", raw)
    data = body_bytes(raw, encoding)
    if html and not data.isascii() and charset_of(charset) in (None, ASCII) and guess(data) != "utf-8":
        charset = _charset_of_page(data) or charset
    return decoded(data, charset, cut=cut).replace("\r\n", "\n")


def _charset_of_page(data: bytes) -> str:
    """The charset that a page in an encoding that includes ASCII names for itself; empty if none is known."""
    match = _META.search(data, 0, _META_BYTES)
    label = match[1].decode("ascii") if match is not None else ""
    return "" if (charset_of(label) or "utf-16").startswith("utf-") else label


def _content(kind: bytes, data: bytes) -> bytes:
    return body_bytes(data, "base64") if kind in b"Bb" else quopri.decodestring(data.replace(b"_", b"=20"))


def _joined(words: list[tuple[str, bytes]]) -> str:
    # A character may be split between words of the same charset, so their bytes are joined before decoding.
    text: list[str] = []
    charset, data = "", b""
    for name, piece in words:
        if name != charset and charset_of(name) != charset_of(charset):
            text.append(decoded(data, charset))
            charset, data = name, b""
        data += piece
    return "".join([*text, decoded(data, charset)])
