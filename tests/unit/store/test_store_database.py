from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.store import database
from engine.store.migrations import MIGRATIONS


def test_the_folder_is_private(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "spool").stat().st_mode & 0o777 == 0o700


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(ConfigError, match="cannot be used as the data folder"):
        database.prepare_folder(tmp_path / "data")


def test_one_engine_at_a_time(folder: Path) -> None:
    with (
        database.lock_folder(folder),
        pytest.raises(ConfigError, match=rf"another engine \(pid {os.getpid()}\)"),
        database.lock_folder(folder),
    ):
        pass
    assert not database.in_use(folder)
    with database.lock_folder(folder):
        assert database.in_use(folder)


def test_a_removed_lock_file_lets_no_second_engine_in(folder: Path) -> None:
    with database.lock_folder(folder):
        (folder / "lock").unlink()
        assert database.in_use(folder)
        with pytest.raises(ConfigError, match="another engine"), database.lock_folder(folder):
            pass


def test_a_commit_is_synced(folder: Path) -> None:
    db = database.open_writer(folder)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    db.close()


def test_a_reader_cannot_write(folder: Path) -> None:
    database.open_writer(folder).close()
    reader = database.open_reader(folder)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO setting VALUES ('a', '1')")
    reader.close()


def test_a_newer_schema_is_refused_and_left_alone(folder: Path) -> None:
    db = database.open_writer(folder)
    db.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    db.close()
    before = (folder / database.FILE).read_bytes()
    with pytest.raises(ConfigError, match="written by a newer engine"):
        database.open_writer(folder)
    assert (folder / database.FILE).read_bytes() == before


def test_a_damaged_file_is_refused_and_left_alone(folder: Path) -> None:
    damaged = b"this is no journal\n" * 500
    (folder / database.FILE).write_bytes(damaged)
    with pytest.raises(ConfigError, match="cannot be opened"):
        database.open_writer(folder)
    assert (folder / database.FILE).read_bytes() == damaged


def test_a_failing_step_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (*MIGRATIONS, "CREATE TABLE half (a);\nCREATE TABLE message (a);\n")
    monkeypatch.setattr(database, "MIGRATIONS", steps)
    with pytest.raises(ConfigError, match="already exists"):
        database.open_writer(folder)
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    db = database.open_writer(folder)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    db.close()


def test_a_process_that_comes_second_finds_the_schema_made(folder: Path) -> None:
    first, second = database._connect(folder, "rwc"), database._connect(folder, "rwc")
    first.execute("PRAGMA journal_mode=WAL")
    asked, failures = threading.Event(), []
    second.set_trace_callback(lambda statement: asked.set() if statement.startswith("BEGIN") else None)

    def come_second() -> None:
        try:
            database.migrate(second, folder)
        except (sqlite3.Error, ConfigError) as error:
            failures.append(error)

    first.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=come_second)
    thread.start()
    assert asked.wait(10)
    for statement in database._statements(MIGRATIONS[0]):
        first.execute(statement)
    first.execute("PRAGMA user_version=1")
    first.commit()
    thread.join()
    assert failures == []
    assert second.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    first.close()
    second.close()
