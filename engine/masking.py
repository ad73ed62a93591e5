"""Masks secrets in text received from others: a server or receiver may echo what a connection sent it. Pure.

A secret is found in plain form (ASCII letters in any case), in base64 (alone or inside other data, as in a login), in
hexadecimal, and under percent, JSON, HTML or quoted-printable escapes, even nested ones. In base64 the whole word is
masked, because the data around the secret belongs to the same login. Encrypted, hashed or differently spelled secrets
are not found.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Iterator

MASK = "******"
"""What answers, logs and events show instead of a secret."""
LAYERS = 3
"""Maximum layers of nested escapes that are decoded."""
SHORT = 4
"""Octets below which a secret is masked only as a whole word: otherwise it would mask parts of ordinary words."""
SURE = 6
"""Octets from which a secret is searched for inside base64: shorter ones determine too few characters there."""

_ESCAPE = re.compile(rb"[%=][0-9A-Fa-f]{2}|=\r?\n|(?:\\u[0-9A-Fa-f]{4})+|\\[\"'/\\]|&#?[0-9A-Za-z]{1,8};")
_WORD = re.compile(rb"[A-Za-z0-9+/_=-]+")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")

_Spans = list[tuple[int, int]]


class Masker:
    """Masks `secrets`, which a connection used, in texts received on it. Empty secrets are ignored."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._plain: set[bytes] = set()
        self._in_base64: set[bytes] = set()
        for secret in {each for each in secrets if each}:
            octets = secret.encode("utf-8", "surrogatepass")
            forms = {octets, octets.replace(b" ", b"+"), octets.hex().encode()}
            self._plain |= {form.lower() for form in forms}
            self._in_base64 |= {form.lower() for form in _base64_forms(octets)}

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self._plain)

    def mask(self, text: str, *, cut: bool = False) -> str:
        """`text` with every secret in it replaced. `cut`: the end may be missing, so half a secret there goes too."""
        if not self._plain:
            return text
        octets = text.encode("utf-8", "surrogatepass")
        if not cut and not self._may_hold(octets):
            return text
        spans: _Spans = []
        view, places = octets, [(place, place + 1) for place in range(len(octets))]
        for _ in range(LAYERS):
            spans += [(places[start][0], places[end - 1][1]) for start, end in self._found(view, cut)]
            unescaped, sources = _unescape(view)
            if unescaped == view:
                break
            view, places = unescaped, [(places[start][0], places[end - 1][1]) for start, end in sources]
        return _replace(octets, spans)

    def _may_hold(self, octets: bytes) -> bool:
        """A quick check that lets nearly every text pass unchanged."""
        lowered = octets.lower()
        if any(form in lowered for form in self._plain) or _ESCAPE.search(octets):
            return True
        url_safe = lowered.translate(_URL_SAFE)
        return any(form in url_safe for form in self._in_base64)

    def _found(self, view: bytes, cut: bool) -> Iterator[tuple[int, int]]:
        lowered = view.lower()
        for form in self._plain:
            for start in _places(lowered, form):
                end = start + len(form)
                if len(form) >= SHORT or not (_is_word(lowered, start - 1) or _is_word(lowered, end)):
                    yield start, end
        if cut:
            for form in self._plain | self._in_base64:
                half = next((n for n in range(len(form) - 1, SHORT - 1, -1) if lowered.endswith(form[:n])), 0)
                if half:
                    yield len(lowered) - half, len(lowered)
        for word in _WORD.finditer(lowered.translate(_URL_SAFE)):
            if any(form in word[0] for form in self._in_base64):
                yield word.span()


def _base64_forms(octets: bytes) -> Iterator[bytes]:
    """Strings of which one occurs in the base64 of any data that contains `octets`; for short ones, only the whole."""
    if len(octets) < SURE:
        if len(octets) >= SHORT:
            yield base64.b64encode(octets).rstrip(b"=")
        return
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + octets).rstrip(b"=")
        # The first and the last character may contain bits of adjacent data.
        yield encoded[(0, 2, 3)[before] : len(encoded) - ((before + len(octets)) % 3 != 0)]


def _unescape(view: bytes) -> tuple[bytes, _Spans]:
    """The octets after decoding one layer of escapes, and the place of each in `view`."""
    found, sources, place = bytearray(), [], 0
    for escape in _ESCAPE.finditer(view):
        octets = _meaning(escape[0])
        found += view[place : escape.start()] + octets
        sources += [(each, each + 1) for each in range(place, escape.start())] + [escape.span()] * len(octets)
        place = escape.end()
    found += view[place:]
    return bytes(found), sources + [(each, each + 1) for each in range(place, len(view))]


def _meaning(escape: bytes) -> bytes:
    if escape[-1:] == b"\n":
        return b""
    if escape[:1] in b"%=":
        return bytes.fromhex(escape[1:].decode())
    if escape[:2] == b"\\u":
        units = bytes.fromhex(escape.decode().replace("\\u", ""))
        return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
    if escape[:1] == b"\\":
        return escape[1:]
    return html.unescape(escape.decode()).encode("utf-8", "surrogatepass")


def _places(text: bytes, form: bytes) -> Iterator[int]:
    place = text.find(form)
    while place >= 0:
        yield place
        place = text.find(form, place + 1)


def _is_word(text: bytes, place: int) -> bool:
    return 0 <= place < len(text) and (text[place : place + 1].isalnum() or text[place] > 127)


def _replace(octets: bytes, spans: _Spans) -> str:
    masked, place = bytearray(), 0
    for start, end in sorted(spans):
        if start >= place:
            masked += octets[place:start] + MASK.encode()
        place = max(place, end)
    return bytes(masked + octets[place:]).decode("utf-8", "replace")
