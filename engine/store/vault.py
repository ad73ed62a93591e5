"""Sealing secrets at rest: AES-256-GCM, bound to the account and field they belong to.

A sealed value is `v1.<key id>.<base64 of nonce and ciphertext>`; moving it to another account or field makes it
unreadable. The key comes from the configuration or from `<data folder>/key`, made at the first start with mode 0600.
Without the right key nothing can be opened and the engine refuses to start: it never falls back to clear text.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import ConfigError, DamagedSecret
from engine.world import World

NONCE_BYTES = 12


class Vault:
    """Seals and opens secrets with one 32-byte key."""

    def __init__(self, key: bytes, world: World) -> None:
        self._aead = AESGCM(key)
        self._world = world
        self.key_id = hashlib.sha256(b"key id" + key).hexdigest()[:8]

    def seal(self, account: str, field: str, secret: str) -> str:
        """`secret` sealed for this account and field."""
        nonce = self._world.token_bytes(NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, secret.encode(), _binding(account, field))
        return f"v1.{self.key_id}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, account: str, field: str, sealed: str) -> str:
        """The secret again. Raises `ConfigError` when another key has sealed it, `DamagedSecret` when it is none."""
        version, _, rest = sealed.partition(".")
        key_id, _, text = rest.partition(".")
        if version != "v1" or key_id != self.key_id:
            raise ConfigError(f"a secret of account {account!r} was sealed with another key than the one given")
        try:
            data = base64.b64decode(text, validate=True)
            opened = self._aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _binding(account, field))
        except (InvalidTag, ValueError) as error:
            raise DamagedSecret(f"a secret of account {account!r} is damaged or belongs elsewhere") from error
        return opened.decode()


def load_key(folder: Path, key: str, key_file: str, world: World) -> bytes:
    """The 32-byte key: given as base64, read from a file, or made in the data folder. Raises `ConfigError`."""
    if key:
        return _decode(key, "store.key")
    file = Path(key_file) if key_file else folder / "key"
    if not key_file and not file.exists():
        made = world.token_bytes(32)
        _write_key(file, base64.b64encode(made) + b"\n")
        return made
    try:
        return _decode(file.read_text(encoding="ascii").strip(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: the key file cannot be read: {error}") from error


def _write_key(file: Path, text: bytes) -> None:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
        except OSError:
            # Half a key would be in the way of the next start.
            file.unlink()
            raise
    except OSError as error:
        raise ConfigError(f"{file}: the key file cannot be made: {error.strerror}") from error


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ConfigError(f"{where}: is not base64") from error
    if len(key) != 32:
        raise ConfigError(f"{where}: must hold 32 bytes, base64-encoded, and holds {len(key)}")
    return key


def _binding(account: str, field: str) -> bytes:
    return f"{len(account)}:{account}{field}".encode()
