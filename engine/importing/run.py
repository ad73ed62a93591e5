"""Carries out an import as one commit, so that it is never half done, whenever it ends."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from engine.config import Config
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.importing.destination import Destination
from engine.importing.encryption import Decryption
from engine.importing.item import Item
from engine.importing.plan import plan
from engine.importing.source import Stored
from engine.settings import SettingsBook
from engine.store import audit, database, sealed, vault_keys
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World


async def dry_run(stored: Stored, secrets: Decryption, config: Config, world: World, *, replace: bool) -> list[Item]:
    """What an import would do. Nothing is changed; an engine may be running. Raises `ConfigError`."""
    folder = Path(config.store.path)
    with _reader(folder) as db:
        to = Destination(db, _vault(db, folder, config, world), world, secrets, replace=replace)
        return await plan(stored, to, config.webhooks.endpoints)


async def run(stored: Stored, secrets: Decryption, config: Config, world: World, *, replace: bool) -> list[Item]:
    """Import everything that can be imported, in one commit; return what was found.

    No engine may run on the folder. Raises `ConfigError`, also if one does, and `StorageFailed`, `StorageFull`, with
    nothing changed. Cancelled: all of it is done or nothing.
    """
    folder = Path(config.store.path)
    database.prepare_folder(folder)
    with database.lock_folder(folder):
        if not (folder / database.FILE).exists():
            vault_keys.load(folder, config.store, world, needed=())
        database.check_log(folder)
        async with _running(Store(folder, world, config.store.reserve)) as store:
            keys = vault_keys.load(folder, config.store, world, sealed.key_ids(store.reader))
            vault = keys.vault(world)
            journal = Journal(store, Hub(), world)
            journal.service_url = SettingsBook(store, vault).values.service_url
            items = await plan(
                stored,
                Destination(store.reader, vault, world, secrets, replace=replace),
                config.webhooks.endpoints,
            )

            def change(tx: Tx) -> None:
                now = world.now()
                for item in items:
                    if item.change is not None:
                        item.change(tx, journal)
                        audit.add(tx, audit.Entry(now, audit.CLI, None, item.operation, item.id))

            await store.admit(change)
            return items


@contextlib.contextmanager
def _reader(folder: Path) -> Iterator[sqlite3.Connection]:
    """The journal, or an empty one in memory if there is none yet."""
    if (folder / database.FILE).exists():
        with contextlib.closing(database.open_reader(folder)) as db:
            yield db
        return
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        database.migrate(db, folder)
        yield db


def _vault(db: sqlite3.Connection, folder: Path, config: Config, world: World) -> Vault:
    """The vault of the folder; one with a temporary key if the folder has no key yet and needs none."""
    needed = sealed.key_ids(db)
    file = vault_keys.file_of(folder, config.store)
    if not needed and file is not None and not file.exists():
        return Vault(world.token_bytes(vault_keys.SIZE), world)
    return vault_keys.load(folder, config.store, world, needed).vault(world)


@asynccontextmanager
async def _running(store: Store) -> AsyncIterator[Store]:
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        yield store
        nursery.cancel_scope.cancel()
