"""The server's half of a SASL exchange: PLAIN, LOGIN and XOAUTH2. Pure; one for both protocols.

`exchange` is a generator: it yields challenges, takes responses (both as bytes, base64 is the protocol's business) and
returns the user who got in, None for a refusal. Malformed responses raise `ValueError`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Generator
from typing import Final

MECHANISMS: Final = ("PLAIN", "LOGIN", "XOAUTH2")
_OAUTH_REFUSAL: Final = b'{"status":"400","schemes":"Bearer","scope":"https://mail.sandbox.example/"}'
_XOAUTH2 = re.compile(r"user=([^\x01]+)\x01auth=Bearer ([^\x01]*)\x01\x01", re.IGNORECASE)

Check = Callable[[str, str], bool]
"""Whether a user may log in with a password or access token."""
Exchange = Generator[bytes, bytes, str | None]


def exchange(mechanism: str, check: Check) -> Exchange:
    """One exchange; `mechanism` is one of `MECHANISMS`."""
    return _EXCHANGES[mechanism](check)


def decode(line: bytes) -> bytes:
    """A response off its base64; `=` is an empty one (RFC 4954 section 4, RFC 4959). Raises ValueError."""
    if line == b"=":
        return b""
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise ValueError("Invalid base64 data") from error


def _text(response: bytes) -> str:
    try:
        return response.decode()
    except UnicodeDecodeError as error:
        raise ValueError("Invalid UTF-8 data") from error


def _plain(check: Check) -> Exchange:
    fields = _text((yield b"")).split("\0")
    if len(fields) != 3 or not fields[1]:
        raise ValueError("Invalid PLAIN response")
    return fields[1] if check(fields[1], fields[2]) else None


def _login(check: Check) -> Exchange:
    user = _text((yield b"Username:"))
    password = _text((yield b"Password:"))
    return user if user and check(user, password) else None


def _xoauth2(check: Check) -> Exchange:
    match = _XOAUTH2.fullmatch(_text((yield b"")))
    if match is None:
        raise ValueError("Invalid XOAUTH2 response")
    if check(match[1], match[2]):
        return match[1]
    # The reason comes as one more challenge; the client answers with nothing and only then hears the refusal.
    yield _OAUTH_REFUSAL
    return None


_EXCHANGES: Final[dict[str, Callable[[Check], Exchange]]] = {"PLAIN": _plain, "LOGIN": _login, "XOAUTH2": _xoauth2}
