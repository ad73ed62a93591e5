"""Sealing secrets at rest: AES-256-GCM, bound to the account and field they belong to.

A sealed value is `v1.<key id>.<base64 of nonce and ciphertext>`. Moved to another account or field, it cannot be
opened. If the key opens nothing at all, the engine refuses to start (`vault_keys.py`); it never falls back to clear
text.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import DamagedSecret
from engine.world import World

NONCE_BYTES = 12


class Vault:
    """Seals with one 32-byte key; opens what that key or any other key it was given has sealed."""

    def __init__(self, key: bytes, world: World) -> None:
        self._world = world
        self._keys: dict[str, AESGCM] = {}
        self.use(key)

    def use(self, key: bytes) -> None:
        """Seal with this key from now on; earlier keys still open."""
        self.key_id = key_id(key)
        self._keys[self.key_id] = AESGCM(key)

    def also_open(self, key: bytes) -> None:
        """Also open what this key has sealed."""
        self._keys[key_id(key)] = AESGCM(key)

    def seal(self, account: str, field: str, secret: str) -> str:
        """Seal `secret` for this account and field."""
        nonce = self._world.token_bytes(NONCE_BYTES)
        sealed = self._keys[self.key_id].encrypt(nonce, secret.encode(), _binding(account, field))
        return f"v1.{self.key_id}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, account: str, field: str, sealed: str) -> str:
        """The secret. Raises `DamagedSecret` if the value is damaged or an unknown key sealed it."""
        key = key_of(sealed)
        aead = self._keys.get(key)
        if aead is None:
            why = f"was sealed with another key ({key})" if key else "is not sealed"
            raise DamagedSecret(f"{field} {why}")
        try:
            data = base64.b64decode(sealed.rpartition(".")[2], validate=True)
            opened = aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _binding(account, field))
        except (InvalidTag, ValueError) as error:
            raise DamagedSecret(f"{field} is damaged or belongs elsewhere") from error
        return opened.decode()


def key_id(key: bytes) -> str:
    """An id that names a key without revealing anything about it."""
    return hashlib.sha256(b"key id" + key).hexdigest()[:8]


def key_of(sealed: str) -> str:
    """The id of the key that sealed a value; "" if it is not a sealed value."""
    version, _, rest = sealed.partition(".")
    name, dot, _ = rest.partition(".")
    return name if version == "v1" and dot else ""


def _binding(account: str, field: str) -> bytes:
    return f"{len(account)}:{account}{field}".encode()
