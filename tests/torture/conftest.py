"""Fixtures of these tests, and the parts of `scripts/torture` in reach."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from real.engine_process import REPOSITORY, EngineProcess

sys.path.append(str(REPOSITORY / "scripts"))


@pytest.fixture(scope="module")
def one_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine with quick retries for all tests of a file; each takes accounts of its own."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), ENGINE_RETRY__SCHEDULE="200ms")
    try:
        engine.start()
        yield engine
        assert "Traceback" not in engine.log, engine.log
    finally:
        engine.kill9()
