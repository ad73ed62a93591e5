"""How long what is observed of a folder counts as that of a request that broke off."""

from __future__ import annotations

from pathlib import Path

import pytest
from seeded_world import SeededWorld

from engine.accounts.folder_requests_under_way import FolderChanges
from engine.store.writer import Store


async def test_only_lists_from_after_its_end_count(tmp_path: Path) -> None:
    store = Store(tmp_path, SeededWorld(1))
    changes = FolderChanges()
    before = changes.mark
    with pytest.raises(OSError), changes.changing() as change:
        change.paths, change.stored = ("New",), 7
        during = changes.mark
        raise OSError
    for mark in (before, during, before):
        await changes.looked_into_all(store, mark)
    assert change.rounds == 0
    await changes.looked_into_all(store, changes.mark)
    assert changes.doubtful("New", "/")
    assert changes.doubtful("New/below", "/")
    assert not changes.doubtful("Newer", "/")
    assert change.rounds == 1
