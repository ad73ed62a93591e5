"""Mailbox names in IMAP's modified UTF-7 (RFC 3501 section 5.1.3).

`decode` inverts `encode` for every text that UTF-16 can represent. `encode` raises `ValueError` for lone surrogates,
`decode` for malformed names. `decode` also accepts some names that `encode` would write differently, so code that must
tell two names apart compares the encoded forms (`mailboxes`).
"""

from __future__ import annotations

import binascii
import re

_SHIFTED = re.compile(r"[^\x20-\x7e]+|&")
_ENCODED = re.compile(r"&([A-Za-z0-9+,]*)-|&")


def encode(text: str) -> bytes:
    """The name as sent: printable ASCII. Raises `ValueError` for a lone surrogate."""
    return _SHIFTED.sub(_shift, text).encode("ascii")


def decode(name: bytes) -> str:
    """The name as a person reads it. Raises `ValueError` for bytes outside ASCII or a broken shift sequence."""
    text = name.decode("ascii")
    return _ENCODED.sub(_unshift, text) if "&" in text else text


def _shift(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    encoded = binascii.b2a_base64(match[0].encode("utf-16-be"), newline=False)
    return "&" + encoded.decode("ascii").rstrip("=").replace("/", ",") + "-"


def _unshift(match: re.Match[str]) -> str:
    encoded = match[1]
    if encoded is None:
        raise ValueError("a shift sequence does not end")
    if not encoded:
        return "&"
    padded = encoded.replace(",", "/") + "=" * (-len(encoded) % 4)
    return binascii.a2b_base64(padded).decode("utf-16-be")
