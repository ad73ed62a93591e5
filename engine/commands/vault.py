"""`engine vault rotate`: another key for the secrets in the journal, while an engine runs or not.

The command offers the new key by putting it beside the old one (`store/keys.py`). An engine that runs takes it up
within about a second; when none runs, the command does the same under the folder's lock. Killed at any moment, what is
left is done by the next start, or by the same command once more.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.common import PROGRAM, Add, data_folder, has_journal, load_config, reading, say, with_journal
from engine.errors import ConfigError, EngineError, Fault

if TYPE_CHECKING:
    from engine.config import Config
    from engine.store.keys import Keys

PATIENCE = 60.0
LOOK_EVERY = 0.1
INSTALL_LOOKS = 20
"""Looks after which a key in force that is still in `key.next` is taken to stay there."""

EXAMPLES = """\
examples:
  engine vault rotate                            a new key, made here, in place of the old one
  head -c 32 /dev/urandom | base64 > new.key
  engine vault rotate --key new.key              this key; "-" reads it from standard input

The second is for a key that is kept in store.key. When the command has said so, put the new key there: until then it
is also in key.next in the data folder, and a start works with both. Backups made before need the key they hold.
"""


class NotDone(EngineError):
    """The engine that runs has not taken up the key."""

    fault = Fault.ENGINE


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    vault = commands.add_parser("vault", help="change the key that seals secrets").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    rotate = add(vault, "rotate", "seal all secrets anew with another key", _rotate, EXAMPLES)
    rotate.add_argument("--key", metavar="FILE", help="the new key, 32 bytes in base64; - reads standard input")


def _rotate(options: argparse.Namespace) -> int:
    from engine.store import database, files, keys, sealed
    from engine.store.rotation import listed
    from engine.store.vault import key_id
    from engine.world import World

    config = load_config(options)
    folder = data_folder(config)
    if not has_journal(folder):
        say(f"{PROGRAM}: {folder / database.FILE}: there is no journal yet; check store.path")
        return 1
    found = keys.load(folder, config.store, World(), with_journal(folder, sealed.key_ids))
    given = _given(options.key)
    new = found.following
    if new is None:
        if given is None and config.store.key:
            raise ConfigError("store.key holds the key: make the new one yourself and give it with --key")
        new = given or World().token_bytes(keys.SIZE)
        if new == found.current:
            raise ConfigError(f"the key {key_id(new)} is in force already")
        keys.offer(folder, new)
    elif given not in (None, new):
        raise ConfigError(
            f"{folder / files.NEXT_KEY}: the change to another key is not done yet: run this without --key"
        )
    _carry_out(folder, config, found, new)
    left = with_journal(folder, lambda db: sealed.left(db, key_id(new)))
    if left:
        say(f"{len(left)} secrets could not be opened and stay as they are: {listed(left)}")
    print(f"{'all other' if left else 'all'} secrets are sealed with the key {key_id(new)}")
    if keys.offered(folder) is not None:
        where = "store.key" if config.store.key else config.store.key_file
        say(f"put the new key into {where}; until a start finds it there, it is also in {folder / files.NEXT_KEY}")
    return 0


def _given(source: str | None) -> bytes | None:
    from engine.store import keys

    if source is None:
        return None
    if source == "-":
        return keys.decode(sys.stdin.read(keys.LONGEST), "standard input")
    return keys.read(Path(source))


def _carry_out(folder: Path, config: Config, found: Keys, key: bytes) -> None:
    """Have the key put in force, by the engine that runs or here. Raises `NotDone`, `ConfigError`."""
    from engine.store import database, keys, marks
    from engine.store.vault import key_id

    in_force = 0
    for _ in range(int(PATIENCE / LOOK_EVERY)):
        if not database.in_use(folder) and _carry_out_here(folder, config, found, key):
            return
        if reading(folder, lambda db: marks.get(db, marks.KEY)) == key_id(key):
            in_force += 1
        if in_force > INSTALL_LOOKS or (in_force and (config.store.key or keys.offered(folder) is None)):
            return
        time.sleep(LOOK_EVERY)
    raise NotDone("the engine that runs has not taken up the new key; see its log. Its next start will")


def _carry_out_here(folder: Path, config: Config, found: Keys, key: bytes) -> bool:
    """Do what an engine would do; False when one has started meanwhile. Raises `ConfigError`."""
    import contextlib

    from engine.store import database, keys
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
            keys.install(folder, config.store, key)
    except ConfigError:
        if database.in_use(folder):
            return False
        raise
    return True
