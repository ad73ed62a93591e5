"""What `engine doctor` says of sinks."""

from __future__ import annotations

import contextlib
from pathlib import Path

from engine import doctor
from engine.config import Config, StoreConfig
from engine.sink_config import SinkConfig
from engine.store import database
from engine.world import World


def config(folder: Path, **sinks: SinkConfig) -> Config:
    return Config(store=StoreConfig(path=str(folder)), sinks=sinks)


def test_each_position_is_told(tmp_path: Path) -> None:
    bus = SinkConfig(url="nats://127.0.0.1")
    assert doctor.sinks(config(tmp_path)).ok
    assert doctor.sinks(config(tmp_path, bus=bus)).text == "bus has not begun"
    database.prepare_folder(tmp_path)
    now = World().now()
    with contextlib.closing(database.open_writer(tmp_path)) as db:
        db.execute("INSERT INTO consumer (owner, name, seq, created) VALUES ('', 'sink:bus', 2, 0)")
        for seq, age in ((1, 900), (2, 800), (3, 100), (4, 50)):
            db.execute("INSERT INTO event (seq, name, body, created) VALUES (?, 'x', '{}', ?)", (seq, now - age))
    found = doctor.sinks(config(tmp_path, bus=bus, log=bus))
    assert (found.ok, found.text) == (True, "bus is 2 events behind, log has not begun")
    with contextlib.closing(database.open_writer(tmp_path)) as db:
        db.execute("UPDATE event SET created = ? WHERE seq = 3", (now - 7200,))
    found = doctor.sinks(config(tmp_path, bus=bus))
    assert not found.ok
    assert found.text == "bus is 2 events behind, the oldest is 2 h old: no engine is running"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    found = doctor.sinks(config(tmp_path, bus=SinkConfig(url="nats://127.0.0.1", creds=str(tmp_path / "none"))))
    assert not found.ok
    assert found.text.startswith("sinks.bus.creds: ")
