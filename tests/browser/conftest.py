"""The browser of the tests, and a session of the engine of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import chromium
from page_walk import cookie_of
from real.engine_process import EngineProcess


@pytest.fixture(scope="session")
def devtools() -> Iterator[str]:
    """One browser for all tests of a process, each tab with cookies of its own; where its devtools listen."""
    with chromium() as url:
        yield url


@pytest.fixture(scope="module")
def cookie(engine: EngineProcess) -> tuple[str, str]:
    """An owner's session."""
    return cookie_of(engine)
