"""Key rotation: how a running engine takes up a new key, and how a start completes an interrupted rotation.

`engine vault rotate` offers a key (`vault_keys.py`). The engine notices it, seals everything again in one commit, and
replaces the old key. From that commit on it seals with the new key only. Values that cannot be opened stay as they are,
and the log names them.
"""

from __future__ import annotations

import logging
import sqlite3

import trio

from engine.config import StoreConfig
from engine.errors import ConfigError
from engine.store import audit, files, folder_metadata, sealed, vault_keys
from engine.store.vault import Vault, key_id
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.store")

LOOK_EVERY = 1.0
SHOWN = 10
"""Maximum secrets named in one log line."""


def seal_anew(db: sqlite3.Connection | Tx, vault: Vault, now: float) -> int:
    """Do the second step inside a transaction; return how many secrets were sealed again."""
    count = sealed.seal_anew(db, vault)
    if folder_metadata.get(db, folder_metadata.KEY) != vault.key_id:
        folder_metadata.put(db, folder_metadata.KEY, vault.key_id)
        audit.add(db, audit.Entry(now, audit.CLI, None, "vault.rotate", vault.key_id))
    return count


def listed(names: list[str]) -> str:
    """The first `SHOWN` names in one line."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


class Rotation:
    """Takes up an offered key, once at the start and then as a service."""

    def __init__(self, store: Store, vault: Vault, config: StoreConfig, world: World) -> None:
        self._store = store
        self._vault = vault
        self._config = config
        self._world = world
        self._done: str | None = None

    async def take_up(self) -> None:
        """Put an offered key in force, if there is one. Raises `StorageFailed`.

        Cancelled: the next start does the remaining steps.
        """
        try:
            key = vault_keys.offered(self._store.path)
        except ConfigError as error:
            log.error("%s", error)
            return
        if key is None or key_id(key) == self._done:
            return
        self._done = key_id(key)
        self._vault.use(key)
        now = self._world.now()
        count = await self._store.commit(lambda tx: seal_anew(tx, self._vault, now))
        log.info("resealed %d secrets with the key %s", count, self._done)
        if left := sealed.left(self._store.reader, self._done):
            log.warning("%d secrets could not be opened and are left as they are: %s", len(left), listed(left))
        if not await self._world.in_thread(vault_keys.install, self._store.path, self._config, key):
            log.warning(
                "the key %s is in %s: move it to where the key is configured (store.key or store.key_file)",
                self._done,
                self._store.path / files.NEXT_KEY,
            )

    async def run(self, stopping: trio.Event) -> None:
        """Look for an offered key once a second until `stopping`. Raises `StorageFailed`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look)
            await stopping.wait()
            nursery.cancel_scope.cancel()

    async def _look(self) -> None:
        while True:
            await trio.sleep(LOOK_EVERY)
            await self.take_up()
