"""Opens what EmailEngine has encrypted with its `EENGINE_SECRET`.

An encrypted text is `$wd01$aes-256-gcm$tag$iv$salt$ciphertext`, all in hexadecimal. Its key is scrypt of the secret and
the salt (N 16384, r 8, p 1, 32 bytes). Older versions use another salt for every text, so computing the keys takes most
of the time of an import. They are computed in advance, several at once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable

import msgspec
import trio
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import EngineError, Fault
from engine.world import World

_ENCRYPTED = re.compile(
    rb"\$wd01\$aes-256-gcm\$([0-9a-f]{32})\$([0-9a-f]{24})\$([0-9a-f]{32})\$((?:[0-9a-f]{2})+)", re.IGNORECASE
)
_ANY = re.compile(rb"\$(wd[0-9]{2})\$")
KNOWN = b"wd01"
PROBES = 10
"""Texts that are looked at before a secret counts as wrong."""


class SecretWrong(EngineError):
    """The secret is missing or wrong."""

    fault = Fault.CALLER


class NotOpened(ValueError):
    """One text that this secret does not open."""


class _Sealed(msgspec.Struct, frozen=True):
    tag: bytes
    iv: bytes
    salt: bytes
    ciphertext: bytes


class Decryption:
    """Opens texts. `prepare` first makes the keys for all of them."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret.encode() if secret else None
        self._keys: dict[bytes, AESGCM] = {}

    async def prepare(self, values: Iterable[bytes], world: World) -> int:
        """Make the keys for everything encrypted in `values`; return how many texts that is.

        Raises `SecretWrong` if there is something encrypted and no secret, or one that does not open it.
        """
        octets = b"\n".join(values)
        foreign = {each[1] for each in _ANY.finditer(octets)} - {KNOWN}
        if foreign:
            names = ", ".join(sorted(each.decode() for each in foreign))
            raise SecretWrong(
                f"this EmailEngine encrypts in a form that is not known here ({names}): remove its encryption first, "
                'with "emailengine encrypt" without a new secret, as its documentation describes'
            )
        texts = [_Sealed(*map(_octets, each.groups())) for each in _ENCRYPTED.finditer(octets)]
        if texts and self._secret is None:
            raise SecretWrong(
                f"EmailEngine has encrypted its secrets ({len(texts)} texts): give its EENGINE_SECRET with "
                "--secret-file FILE, or in the environment as EENGINE_SECRET"
            )
        await self._derive({each.salt for each in texts[:PROBES]}, world)
        if texts and not any(self._opens(each) for each in texts[:PROBES]):
            raise SecretWrong("the secret is not the one with which EmailEngine has encrypted; check EENGINE_SECRET")
        await self._derive({each.salt for each in texts}, world)
        return len(texts)

    def open(self, text: str) -> str:
        """The text, decrypted if it is encrypted. Raises `NotOpened`."""
        found = _ENCRYPTED.fullmatch(text.encode())
        if found is None:
            return text
        sealed = _Sealed(*map(_octets, found.groups()))
        try:
            return self._opened(sealed).decode()
        except (InvalidTag, KeyError, UnicodeDecodeError) as error:
            raise NotOpened("was encrypted with another secret, or is damaged") from error

    def _opened(self, text: _Sealed) -> bytes:
        return self._keys[text.salt].decrypt(text.iv, text.ciphertext + text.tag, None)

    def _opens(self, text: _Sealed) -> bool:
        try:
            self._opened(text)
        except InvalidTag:
            return False
        return True

    async def _derive(self, salts: set[bytes], world: World) -> None:
        left = iter(salts - self._keys.keys())

        async def work() -> None:
            for salt in left:
                self._keys[salt] = AESGCM(await world.in_thread(_key, self._secret or b"", salt))

        async with trio.open_nursery() as nursery:
            for _ in range(os.cpu_count() or 1):
                nursery.start_soon(work)


def _key(secret: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(secret, salt=salt, n=16384, r=8, p=1, dklen=32)


def _octets(digits: bytes) -> bytes:
    return bytes.fromhex(digits.decode("ascii"))
