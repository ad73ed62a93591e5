"""A data folder, and a store on a disk that waits and fails as a test says."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from store_disk import DiskWorld

from engine.store import database
from engine.store.writer import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prepared data folder."""
    database.prepare_folder(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def world() -> DiskWorld:
    """Where the disk of `store` is."""
    return DiskWorld()


@pytest.fixture
async def store(folder: Path, world: DiskWorld, nursery: trio.Nursery) -> Store:
    """A store that runs."""
    store = Store(folder, world)
    await nursery.start(store.run)
    return store
