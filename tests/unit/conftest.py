"""Files in memory; what several tests of the command line share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import memory
import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of the test's own, in memory."""
    with memory.folder("unit-") as folder:
        yield folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands work: an empty current folder, no settings from outside. Returns the data folder to be."""
    for name in [name for name in os.environ if name.startswith("ENGINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def umask_ends_with_its_test() -> Iterator[None]:
    """Have the umask that a command sets end with its test: later ones make files for other users."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
