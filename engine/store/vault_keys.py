"""Where the key that seals secrets comes from, and how a new key replaces it.

The key is in the configuration (`store.key`) or in a file: `store.key_file`, else `key` in the data folder, which the
first start creates. If the journal needs a key file that is missing, that is an error; no new key is made.

A new key replaces the old one in three steps, each synced before the next begins:

1. `offer` writes the new key as `key.next` into the data folder;
2. one commit seals every secret again with the new key (`sealed.py`);
3. `install` replaces the old key with the new one and deletes `key.next`.

From the first step on, a start has both keys, opens what either has sealed, and does the remaining steps. If the key is
in the configuration, or its file cannot be replaced, the operator has to do the third step; until then `key.next` stays
and is used.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Collection
from pathlib import Path

import msgspec

from engine.config import StoreConfig
from engine.errors import ConfigError
from engine.store import files
from engine.store.vault import Vault, key_id
from engine.world import World

SIZE = 32
_OFFER = ".key.offer."
_RESTORE = "restore the right one, from a backup"
LONGEST = 4096
"""Maximum octets read from a key file."""


class Keys(msgspec.Struct, frozen=True):
    """The key in force, and the one that is to replace it, if any."""

    current: bytes
    following: bytes | None = None

    def vault(self, world: World) -> Vault:
        """A vault that opens what either key has sealed."""
        vault = Vault(self.current, world)
        if self.following is not None:
            vault.also_open(self.following)
        return vault


def load(folder: Path, config: StoreConfig, world: World, needed: Collection[str]) -> Keys:
    """Load the keys for a journal whose values were sealed by the keys with the ids `needed`.

    Creates a key if none exists and none is needed. It is enough if a key opens part of the journal: the other values
    are reported where they are used. Raises a one-line `ConfigError` that names the file, or `store.key`.
    """
    following = offered(folder)
    file = file_of(folder, config)
    if file is None:
        current = decode(config.key, "store.key")
    elif file.exists() or config.key_file:
        current = read(file)
    elif not needed:
        current = world.token_bytes(SIZE)
        write(file, current)
    elif following is not None:
        current = following
    else:
        raise ConfigError(f"{file}: the key is missing, and secrets in the journal are sealed with it: {_RESTORE}")
    if needed and not set(needed) & {key_id(key) for key in (current, following) if key is not None}:
        where = file or "store.key"
        raise ConfigError(
            f"{where}: holds the key {key_id(current)}, and secrets in the journal are sealed with another key "
            f"({', '.join(sorted(needed))}): {_RESTORE}"
        )
    return Keys(current, following)


def file_of(folder: Path, config: StoreConfig) -> Path | None:
    """The file that holds the key; None if the key is in the configuration."""
    if config.key:
        return None
    return Path(config.key_file) if config.key_file else folder / files.KEY


def read(file: Path) -> bytes:
    """The key in a file. Raises `ConfigError`."""
    try:
        # Non-blocking: opening a pipe in place of the file could block for ever.
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise ConfigError(f"{file}: is not a file, so no key can be read from it")
            text = source.read(LONGEST).decode("ascii")
    except OSError as error:
        raise ConfigError(f"{file}: the key file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not base64") from error
    return decode(text, str(file))


def decode(text: str, where: str) -> bytes:
    """Decode a base64 key. Raises a `ConfigError` that names `where` it was found."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError as error:
        raise ConfigError(f"{where}: is not base64") from error
    if len(key) != SIZE:
        raise ConfigError(f"{where}: must hold {SIZE} bytes, base64-encoded, and holds {len(key)}")
    return key


def offered(folder: Path) -> bytes | None:
    """The key that is to replace the one in force, if any. Raises `ConfigError` if its file is damaged."""
    file = folder / files.NEXT_KEY
    if not file.exists():
        return None
    return read(file)


def offer(folder: Path, key: bytes) -> None:
    """Do the first step. Raises `ConfigError`, also if another key has already been offered."""
    file = folder / files.NEXT_KEY
    made = folder / f"{_OFFER}{os.getpid()}"
    made.unlink(missing_ok=True)
    write(made, key)
    try:
        # A link appears complete at once, and never replaces a key that another process has read.
        os.link(made, file)
        files.sync(folder)
    except FileExistsError as error:
        raise ConfigError(f"{file}: exists already: another change of key is under way") from error
    except OSError as error:
        raise ConfigError(f"{file}: the key file cannot be created: {error.strerror}") from error
    finally:
        made.unlink(missing_ok=True)


def install(folder: Path, config: StoreConfig, key: bytes) -> bool:
    """Do the third step for the offered key; False if the operator has to do it.

    Blocks for as long as the disk takes. Repeating it changes nothing.
    """
    file = file_of(folder, config)
    try:
        if file is None:
            if decode(config.key, "store.key") != key:
                return False
        elif not file.exists():
            write(file, key)
        elif read(file) != key:
            _replace(file.resolve(), key)
        for leftover in (folder / files.NEXT_KEY, *folder.glob(f"{_OFFER}*")):
            leftover.unlink(missing_ok=True)
        files.sync(folder)
    except (OSError, ConfigError):
        return False
    return True


def _replace(file: Path, key: bytes) -> None:
    """Replace a key file's content and keep its mode. Raises OSError or `ConfigError`, leaving the file unchanged."""
    made = file.with_name(f".{file.name}.next")
    made.unlink(missing_ok=True)
    write(made, key)
    made.chmod(stat.S_IMODE(file.stat().st_mode))
    made.replace(file)
    files.sync(file.parent)


def write(file: Path, key: bytes) -> None:
    """Create a key file. Raises `ConfigError`, also if the file exists."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, files.FILE_MODE)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(base64.b64encode(key) + b"\n")
                out.flush()
                os.fsync(out.fileno())
            files.sync(file.parent)
        except OSError:
            # An incomplete key file would stop the next start.
            file.unlink()
            raise
    except OSError as error:
        raise ConfigError(f"{file}: the key file cannot be created: {error.strerror}") from error
