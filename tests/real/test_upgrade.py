"""Today's engine on a data folder that a released version wrote (`upgrades/README.md` says how)."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from real.engine_process import EngineProcess

pytestmark = pytest.mark.process

FOLDERS = sorted((Path(__file__).parent / "upgrades").glob("data-*.tar.xz"))


@pytest.mark.parametrize("packed", FOLDERS, ids=lambda packed: packed.name)
def test_a_data_folder_of_a_released_version(packed: Path, tmp_path: Path) -> None:
    # The folder grows older with each day, and what is in it must not go for that.
    engine = EngineProcess(tmp_path, ENGINE_RETENTION__EVENTS="0", ENGINE_RETENTION__MESSAGES="0")
    engine.folder.mkdir(mode=0o700)
    with tarfile.open(packed) as archive:
        archive.extractall(engine.folder, filter="data")
    engine.start()
    try:
        assert engine.wait_for_state("jane", "connected")["email"] == "jane@sandbox.example"
        (waiting,) = engine.request("GET", "/v1/outbox").json["messages"]
        assert waiting["account"] == "jane"
        assert waiting["subject"] == "later"
        events = engine.request("GET", "/v1/events").json["events"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert "messageSent" in {event["event"] for event in events}
        assert engine.terminate() == 0
        engine.start()
        assert engine.request("GET", "/v1/account/jane").status == 200
    finally:
        engine.kill9()
