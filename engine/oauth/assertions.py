"""Signed assertions with which a service app gets access to a mailbox without a sign-in (RFC 7523)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

LIFETIME = 300
"""Seconds for which an assertion is valid. Google allows an hour; a stolen one is worth less if they are few."""


def service_key(text: str) -> RSAPrivateKey:
    """The private key in a PEM text, or in Google's JSON key file. Raises `ValueError`, which never quotes the key."""
    pem = text
    if text.lstrip().startswith("{"):
        try:
            found = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            found = None
        pem = found.get("private_key", "") if isinstance(found, dict) else ""
        if not isinstance(pem, str) or not pem:
            raise ValueError("is JSON without a private_key")
    # When a key is pasted into JSON by hand, its line ends often become two characters.
    pem = pem.replace("\\n", "\n")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is not a private key in PEM form without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("is no RSA key")
    return key


def assertion(
    key: RSAPrivateKey, issuer: str, subject: str | None, scopes: tuple[str, ...], audience: str, now: float
) -> str:
    """A JWT signed with RS256 in which `issuer` asks for a token of `subject`; None: for one of its own."""
    claims = {
        "iss": issuer,
        **({} if subject is None else {"sub": subject}),
        "scope": " ".join(scopes),
        "aud": audience,
        "iat": int(now),
        "exp": int(now) + LIFETIME,
    }
    signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_base64(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _part(members: dict[str, Any]) -> str:
    return _base64(msgspec.json.encode(members))


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
