"""Fixtures of the tests of `engine import emailengine`: an empty Redis, the folder to import to, the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from real.emailengine_data import EmailEngine
from real.import_folder import Folder, ImportCommand
from real.redis_server import RedisServer


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


@pytest.fixture
def run(
    redis_server: RedisServer, folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> ImportCommand:
    """The command, in this process; Redis is emptied first."""
    redis_server.empty()
    return ImportCommand(redis_server, folder, monkeypatch, capsys)


@pytest.fixture
def there(redis_server: RedisServer, run: ImportCommand) -> EmailEngine:
    """An EmailEngine whose data is in that Redis."""
    return EmailEngine(redis_server)
