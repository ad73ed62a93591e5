"""Changing the key: what a running engine does about a key that was offered to it, and what a start finds half done.

`engine vault rotate` offers a key (`vault_keys.py`); the engine notices, seals everything anew in one commit, and puts
the key in place of the old one. Whatever is sealed from then on is sealed with the new key: it is handed to the store
after that commit. What cannot be opened stays as it is, and the log names it.
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
"""Secrets named in one line."""


def seal_anew(db: sqlite3.Connection | Tx, vault: Vault, now: float) -> int:
    """Second step, inside a transaction: how many secrets were sealed anew."""
    count = sealed.seal_anew(db, vault)
    if folder_metadata.get(db, folder_metadata.KEY) != vault.key_id:
        folder_metadata.put(db, folder_metadata.KEY, vault.key_id)
        audit.add(db, audit.Entry(now, audit.CLI, None, "vault.rotate", vault.key_id))
    return count


def listed(names: list[str]) -> str:
    """The first of them, in one line."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


class Rotation:
    """Takes up an offered key. Used at the start, then as a service."""

    def __init__(self, store: Store, vault: Vault, config: StoreConfig, world: World) -> None:
        self._store = store
        self._vault = vault
        self._config = config
        self._world = world
        self._done: str | None = None

    async def take_up(self) -> None:
        """Put an offered key in force, if there is one. Raises `StorageFailed`.

        Cancelled: a start does what is left.
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
