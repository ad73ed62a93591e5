"""The server's half of a SASL exchange: of the SMTP door, and of the sandbox's SMTP and IMAP. Pure.

PLAIN, LOGIN, XOAUTH2, OAUTHBEARER; CRAM-MD5 and SCRAM-SHA-256, which need to know the password.

`exchange` is a generator: it yields challenges, is sent responses (both as bytes; the protocol handles base64) and
returns the user who logged in, None for a refusal. Malformed responses raise `ValueError`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Generator
from typing import Final

MECHANISMS: Final = ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER")
KNOWING: Final = ("SCRAM-SHA-256", "CRAM-MD5")
"""Mechanisms for which the server must know the password: the client only proves that it knows it."""
ROUNDS: Final = 4096
_OAUTH_REFUSAL: Final = b'{"status":"400","schemes":"Bearer","scope":"https://mail.sandbox.example/"}'
_BEARER_REFUSAL: Final = b'{"status":"invalid_token","scope":"mail","schemes":"bearer"}'
_BEARER = re.compile(
    r"n,a=([^,\x01]+),\x01(?:(?:host|port)=[^\x01]*\x01)*auth=Bearer ([^\x01]*)\x01\x01", re.IGNORECASE
)
_XOAUTH2 = re.compile(r"user=([^\x01]+)\x01auth=Bearer ([^\x01]*)\x01\x01", re.IGNORECASE)

Check = Callable[[str, str], bool]
"""Whether a user may log in with a password, or with an access token."""
Password = Callable[[str], str | None]
"""A user's password; None if every password is accepted."""
Exchange = Generator[bytes, bytes, str | None]


def exchange(mechanism: str, password: Check, token: Check) -> Exchange:
    """One exchange; `mechanism` is one of `MECHANISMS`."""
    return _EXCHANGES[mechanism](token if mechanism in _BY_TOKEN else password)


def knowing_exchange(mechanism: str, password: Password, nonce: str) -> Exchange:
    """One exchange; `mechanism` is one of `KNOWING`, `nonce` printable, random and used once."""
    return (_scram if mechanism == "SCRAM-SHA-256" else _cram_md5)(password, nonce.encode())


def decode(line: bytes) -> bytes:
    """A response decoded from base64; `=` is an empty one (RFC 4954 section 4, RFC 4959). Raises ValueError."""
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
    # The reason is one more challenge; the client sends an empty response and only then gets the refusal.
    yield _OAUTH_REFUSAL
    return None


def _oauthbearer(check: Check) -> Exchange:
    """RFC 7628."""
    match = _BEARER.fullmatch(_text((yield b"")))
    if match is None:
        raise ValueError("Invalid OAUTHBEARER response")
    user = match[1].replace("=2C", ",").replace("=3D", "=")
    if check(user, match[2]):
        return user
    if (yield _BEARER_REFUSAL) != b"\x01":
        raise ValueError("Expected %x01 after an error")
    return None


def _cram_md5(password: Password, nonce: bytes) -> Exchange:
    """RFC 2195."""
    challenge = b"<" + nonce + b"@sandbox.example>"
    user, _, digest = _text((yield challenge)).rpartition(" ")
    known = password(user)
    if not user or known is None:
        return None
    expected = hmac.new(known.encode(), challenge, hashlib.md5).hexdigest()
    return user if hmac.compare_digest(expected, digest) else None


def _scram(password: Password, nonce: bytes) -> Exchange:
    """RFC 5802 with SHA-256 (RFC 7677), without channel binding."""
    first = yield b""
    fields = _fields(first)
    if not first.startswith(b"n,,") or not fields.get(b"r"):
        raise ValueError("Invalid SCRAM request")
    user = _text(fields.get(b"n", b"")).replace("=2C", ",").replace("=3D", "=")
    nonce, salt = fields[b"r"] + nonce, hashlib.sha256(nonce).digest()[:16]
    challenge = b"r=%b,s=%b,i=%d" % (nonce, base64.b64encode(salt), ROUNDS)
    final = yield challenge
    unproven, _, proof = final.rpartition(b",p=")
    if unproven != b"c=biws,r=" + nonce:
        raise ValueError("Invalid SCRAM response")
    known = password(user)
    if known is None:
        return None
    salted = hashlib.pbkdf2_hmac("sha256", known.encode(), salt, ROUNDS)
    signed = b",".join((first[3:], challenge, unproven))
    client = _hmac(salted, b"Client Key")
    expected = _xor(client, _hmac(hashlib.sha256(client).digest(), signed))
    if not hmac.compare_digest(base64.b64encode(expected), proof):
        return None
    yield b"v=" + base64.b64encode(_hmac(_hmac(salted, b"Server Key"), signed))
    return user


def _fields(message: bytes) -> dict[bytes, bytes]:
    return dict(part.split(b"=", 1) for part in message.split(b",") if b"=" in part)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, hashlib.sha256)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


_EXCHANGES: Final[dict[str, Callable[[Check], Exchange]]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "XOAUTH2": _xoauth2,
    "OAUTHBEARER": _oauthbearer,
}
_BY_TOKEN = frozenset({"XOAUTH2", "OAUTHBEARER"})
