"""A NATS credentials file: the JWT of a user, and the seed of the key that signs the server's nonce.

The seed is base32 of a two-octet prefix, the 32 octets of an Ed25519 key, and a CRC
(https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth). A file that holds only a
seed is a login by that key alone.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.errors import EngineError, Fault

_SEED_LENGTH = 36
_USER, _SEED = 20 << 3, 18 << 3
_JWT = re.compile(r"-----BEGIN NATS USER JWT-----\s*([A-Za-z0-9_.=-]+)\s*-+END NATS USER JWT-+")
_SEED_LINE = re.compile(r"^\s*(SU[A-Z2-7]{56})\s*$", re.MULTILINE)
LARGEST = 64 * 1024


class BadCredentials(EngineError):
    """The file cannot be used; the text says why and holds nothing of it."""

    fault = Fault.CALLER


class Credentials(msgspec.Struct, frozen=True):
    """A user's JWT ("" for none) and key."""

    jwt: str
    key: Ed25519PrivateKey

    def answer(self, nonce: str) -> dict[str, str]:
        """The members of `CONNECT` that prove the login."""
        signature = base64.urlsafe_b64encode(self.key.sign(nonce.encode())).rstrip(b"=").decode()
        return ({"jwt": self.jwt} if self.jwt else {"nkey": self.public}) | {"sig": signature}

    @property
    def public(self) -> str:
        """The public key as NATS writes it."""
        octets = bytes([_USER]) + self.key.public_key().public_bytes_raw()
        return base64.b32encode(octets + _crc(octets)).rstrip(b"=").decode()


def load(file: str) -> Credentials:
    """Read a credentials file. Raises `BadCredentials`."""
    try:
        with Path(file).open(encoding="ascii") as opened:
            text = opened.read(LARGEST)
    except OSError as error:
        raise BadCredentials(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise BadCredentials(f"{file} is not a credentials file of NATS") from error
    jwt, seed = _JWT.search(text), _SEED_LINE.search(text)
    if seed is None:
        raise BadCredentials(f"{file} holds no seed of a user, which begins with SU")
    return Credentials(jwt[1] if jwt else "", _key(seed[1], file))


def _key(seed: str, file: str) -> Ed25519PrivateKey:
    try:
        octets = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except binascii.Error as error:
        raise BadCredentials(f"the seed in {file} cannot be read") from error
    body, crc = octets[:-2], octets[-2:]
    if len(octets) != _SEED_LENGTH or octets[0] & 0xF8 != _SEED or _crc(body) != crc:
        raise BadCredentials(f"the seed in {file} is damaged")
    return Ed25519PrivateKey.from_private_bytes(body[2:])


def _crc(data: bytes) -> bytes:
    """CRC-16/XMODEM, little-endian."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")
