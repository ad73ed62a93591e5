"""The browser of a file's tests, and a session of its engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import chromium
from page_walk import cookie_of
from real.engine_process import EngineProcess


@pytest.fixture(scope="module")
def devtools() -> Iterator[str]:
    """One browser for all tests of a file; where its devtools listen."""
    with chromium() as url:
        yield url


@pytest.fixture(scope="module")
def cookie(engine: EngineProcess) -> tuple[str, str]:
    """An owner's session."""
    return cookie_of(engine)
