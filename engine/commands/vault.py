"""`engine vault rotate`: another key for the secrets in the journal, with or without a running engine.

The command offers the new key by putting it beside the old one (`store/vault_keys.py`). A running engine takes it up
within about a second; without one, the command does the same under the folder's lock. If it is killed at any moment,
the next start, or the same command, finishes the work.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.common import Add, group
from engine.commands.target import EngineTarget, chosen
from engine.commands.terminal import progress, put_json, say
from engine.errors import ConfigError, EngineError, Fault

if TYPE_CHECKING:
    from engine.config import StoreConfig
    from engine.store.vault_keys import Keys

PATIENCE = 60.0
LOOK_EVERY = 0.1
INSTALL_LOOKS = 20
"""Looks after which the command stops waiting for a key in force to leave `key.next`."""

EXAMPLES = """\
examples:
  engine vault rotate                            create a new key in place of the old one
  head -c 32 /dev/urandom | base64 > new.key
  engine vault rotate --key new.key              use this key; "-" reads it from standard input

The second form is for a key that is configured as store.key. Put the new key there when the command says so: until then
it is also in key.next in the data folder, and a start works with both. Earlier backups need the key that is in them.
"""


class NotDone(EngineError):
    """The running engine has not taken up the key."""

    fault = Fault.ENGINE


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    vault = group(commands, "vault", "change the key that seals secrets")
    rotate = add(vault, "rotate", "seal all secrets again with another key", _rotate, EXAMPLES)
    rotate.add_argument("--key", metavar="FILE", help="the new key, 32 bytes in base64; - reads standard input")


def _rotate(options: argparse.Namespace) -> int:
    from engine.store import files, sealed, vault_keys
    from engine.store.rotation import listed
    from engine.store.vault import key_id
    from engine.world import World

    target = chosen(options)
    folder, store = target.folder, target.store
    if target.key_is_in_configuration and not store.key:
        raise ConfigError("the running engine has its key in store.key: give this command the same configuration")
    found = vault_keys.load(folder, store, World(), target.writing(sealed.key_ids))
    given = _given(options.key)
    new = found.following
    if new is None:
        if given is None and store.key:
            raise ConfigError("the key is in store.key: create the new one yourself and give it with --key")
        new = given or World().token_bytes(vault_keys.SIZE)
        if new == found.current:
            raise ConfigError(f"the key {key_id(new)} is in force already")
        vault_keys.offer(folder, new)
    elif given not in (None, new):
        raise ConfigError(
            f"{folder / files.NEXT_KEY}: the change to another key is not finished: run this without --key"
        )
    with progress("waiting until all secrets are sealed again"):
        _carry_out(target, store, found, new)
    left = target.writing(lambda db: sealed.left(db, key_id(new)))
    if left:
        say(f"{len(left)} secrets could not be opened and are left as they are: {listed(left)}")
    if options.json:
        put_json({"key": key_id(new), "left": left})
    else:
        print(f"{'all other' if left else 'all'} secrets are sealed with the key {key_id(new)}")
    if vault_keys.offered(folder) is not None:
        where = "store.key" if store.key else store.key_file
        say(f"put the new key into {where}; until a start finds it there, it also remains in {folder / files.NEXT_KEY}")
    return 0


def _given(source: str | None) -> bytes | None:
    from engine.store import vault_keys

    if source is None:
        return None
    if source == "-":
        return vault_keys.decode(sys.stdin.read(vault_keys.LONGEST), "standard input")
    return vault_keys.read(Path(source))


def _carry_out(target: EngineTarget, store: StoreConfig, found: Keys, key: bytes) -> None:
    """Put the key in force, through the running engine or here. Raises `NotDone`, `ConfigError`."""
    from engine.store import database, folder_metadata, vault_keys
    from engine.store.vault import key_id

    folder, in_force = target.folder, 0
    for _ in range(int(PATIENCE / LOOK_EVERY)):
        if not database.in_use(folder) and _carry_out_here(folder, store, found, key):
            return
        if target.reading(lambda db: folder_metadata.get(db, folder_metadata.KEY)) == key_id(key):
            in_force += 1
        if in_force > INSTALL_LOOKS or (in_force and (store.key or vault_keys.offered(folder) is None)):
            return
        time.sleep(LOOK_EVERY)
    raise NotDone("the running engine has not taken up the new key; check its log. Its next start will")


def _carry_out_here(folder: Path, store: StoreConfig, found: Keys, key: bytes) -> bool:
    """Do what an engine would do; False if an engine has started since. Raises `ConfigError`."""
    import contextlib

    from engine.store import database, vault_keys
    from engine.store.rotation import seal_anew
    from engine.world import World

    world = World()
    vault = found.vault(world)
    vault.use(key)
    try:
        with database.lock_folder(folder):
            database.check_log(folder)
            with contextlib.closing(database.open_writer(folder)) as db, database.transaction(db):
                seal_anew(db, vault, world.now())
            vault_keys.install(folder, store, key)
    except ConfigError:
        if database.in_use(folder):
            return False
        raise
    return True
