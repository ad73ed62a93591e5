"""Decodes transfer encodings piece by piece, so that a part of any size needs the memory of one piece only.

It never raises: invalid characters are skipped, and an incomplete part gives what was there.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re

import pybase64

IDENTITY = frozenset({"", "7bit", "8bit", "binary"})
"""Encodings that change nothing."""
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_LINE = 998
"""Maximum octets of an incomplete line that are held back; a longer line is decoded as it arrives."""


class Decoder:
    """Decodes the transfer encoding of one part: `feed` each piece, then call `end`."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Decode as much as is possible after these octets."""
        if self._encoding == "base64":
            return self._base64(data)
        if self._encoding == "quoted-printable":
            return self._quoted_printable(data)
        return data

    def end(self) -> bytes:
        """Decode the rest."""
        said = self._odd_base64(self._rest) if self._encoding == "base64" else b""
        rest, self._rest = self._rest, b""
        return quopri.decodestring(rest) if self._encoding == "quoted-printable" else said + _cut_short(rest)

    def _base64(self, data: bytes) -> bytes:
        """Decode letters and line ends in one step, as nearly all mail has them; otherwise use `_odd_base64`."""
        letters = self._rest + data.translate(None, b"\r\n")
        usable = len(letters) - len(letters) % 4
        try:
            # Three times as fast as binascii, which took the largest share of a download.
            decoded = pybase64.b64decode(memoryview(letters)[:usable], validate=True)
        except binascii.Error:
            return self._odd_base64(self._rest + data)
        self._rest = letters[usable:]
        return decoded

    def _odd_base64(self, data: bytes) -> bytes:
        """Decode all other input: foreign octets, padding in the middle, lines that end within a group."""
        letters = data.translate(None, b"\r\n")
        if _NOT_BASE64.search(letters):
            letters = _NOT_BASE64.sub(b"", letters)
        # After padding, some encoders start over.
        *ended, letters = letters.split(b"=") if b"=" in letters else (letters,)
        usable = len(letters) - len(letters) % 4
        self._rest = letters[usable:]
        return b"".join(map(_cut_short, ended)) + _groups(letters[:usable])

    def _quoted_printable(self, data: bytes) -> bytes:
        data = self._rest + data
        # Trailing white space, and an escape split over two pieces, can only be decoded with the whole line.
        end = data.rfind(b"\n") + 1
        if not end and len(data) > _LINE:
            end = len(data) - 3
        self._rest = data[end:]
        return quopri.decodestring(data[:end])


def body_bytes(data: bytes, encoding: str) -> bytes:
    """A whole part decoded from its transfer encoding; an incomplete one gives what was there."""
    decoder = Decoder(encoding)
    return decoder.feed(data) + decoder.end()


def _cut_short(letters: bytes) -> bytes:
    """Decode letters that end without padding, perhaps within a group."""
    usable = len(letters) - (len(letters) % 4 == 1)
    return _groups(letters[:usable] + b"=" * (-usable % 4))


def _groups(letters: bytes) -> bytes:
    try:
        return base64.b64decode(letters)
    except binascii.Error:
        return b""
