"""Files in memory; what mail servers can do, for every test of what happens in a mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import memory
import pytest
from inbox import SERVERS
from quick_starts import quick_starts

from engine.web import passwords


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of the test's own, in memory."""
    with memory.folder("sim-") as folder:
        yield folder


@pytest.fixture(autouse=True)
def starting_quickly() -> Iterator[None]:
    """Engines start quickly."""
    with quick_starts():
        yield


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords at a cost that is none; `tests/unit/web/test_passwords.py` holds what it is for people."""
    monkeypatch.setattr(passwords, "_N", 2)


@pytest.fixture(params=list(SERVERS))
def missing(request: pytest.FixtureRequest) -> frozenset[str]:
    """What the server cannot do."""
    return SERVERS[request.param]
