"""One-time codes (RFC 6238): six digits, a new one each 30 seconds, SHA-1, as in authenticator apps. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote, urlencode

STEP = 30
DIGITS = 6
KEY_BYTES = 20
_AROUND = 1
"""Steps by which a phone's clock may be wrong."""


def code(key: bytes, step: int) -> str:
    """The code of one step (RFC 4226 section 5.3)."""
    digest = hmac.digest(key, step.to_bytes(8, "big"), hashlib.sha1)
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_of(key: bytes, given: str, now: float) -> int | None:
    """The step whose code this is, if it is one around `now` (seconds since 1970); blanks in it do not count."""
    given = "".join(given.split())
    if not (given.isascii() and given.isdecimal()):
        return None
    middle = int(now // STEP)
    steps = (
        step for step in range(middle - _AROUND, middle + _AROUND + 1) if hmac.compare_digest(code(key, step), given)
    )
    return next(steps, None)


def as_text(key: bytes) -> str:
    """The key as people type it into their app."""
    return base64.b32encode(key).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """The key from its text."""
    return base64.b32decode(text + "=" * (-len(text) % 8))


def uri(key: bytes, name: str, issuer: str) -> str:
    """The key as the URI that authenticator apps open, or read from a picture."""
    query = urlencode({"secret": as_text(key), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(name, safe='')}?{query}"
