"""A keeper's surroundings, on Trio's clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from keeping import Desk, SlowDisk, desk, provider
from trio.testing import MockClock


@pytest.fixture
async def at(tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[Desk]:
    world = SlowDisk(1)
    async with provider(world) as sandbox, desk(tmp_path / "data", world, sandbox) as found:
        yield found
