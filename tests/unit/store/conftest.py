from __future__ import annotations

from pathlib import Path

import pytest

from engine.store import database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prepared data folder."""
    database.prepare_folder(tmp_path / "data")
    return tmp_path / "data"
