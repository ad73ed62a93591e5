from __future__ import annotations

import base64
import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, StorageFailed
from engine.store import backup, database, folder_metadata
from engine.store.backup import back_up

NOW = 1_800_000_000.0


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "monday"


def add_message(folder: Path, number: int, spooled: bool = False) -> None:
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute(
            "INSERT INTO message (id, queue_id, account, message_id, sender, smtputf8, size, created, send_at, state, "
            "attempts_max) VALUES (?, ?, 'a', 'm', 's', 0, 1, 1, 1, 'queued', 1)",
            (number, f"q{number}"),
        )
        name = f"q{number}" if spooled else None
        if name is not None:
            (folder / "spool" / name).write_bytes(b"large")
        db.execute("INSERT INTO body VALUES (?, 'h', '', NULL, ?)", (number, name))


def remove_message(folder: Path, number: int) -> None:
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute("DELETE FROM body WHERE message = ?", (number,))
    (folder / "spool" / f"q{number}").unlink()


def left_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_the_copy_is_whole_and_marked(folder: Path, target: Path) -> None:
    add_message(folder, 1)
    add_message(folder, 2, spooled=True)
    (folder / "spool" / "stray").write_bytes(b"named by nothing")
    secret = base64.b64encode(b"k" * 32).decode() + "\n"
    (folder / "key").write_text(secret)
    summary = back_up(folder, target, folder / "key", NOW)
    assert (summary.messages, summary.unsent, summary.events, summary.has_key) == (2, 2, 0, True)
    assert summary.size == sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    assert left_in(target) == ["journal.db", "key", "spool"]
    assert left_in(target / "spool") == ["q2"]
    assert (target / "key").read_text() == secret
    assert [(target / name).stat().st_mode & 0o777 for name in ("", "key", "journal.db")] == [0o700, 0o600, 0o600]
    with contextlib.closing(database.open_reader(target)) as db:
        assert folder_metadata.get(db, folder_metadata.RESTORED) == {"backup": NOW}
        assert db.execute("SELECT queue_id FROM message ORDER BY id").fetchall() == [("q1",), ("q2",)]
    with contextlib.closing(database.open_reader(folder)) as db:
        assert folder_metadata.get(db, folder_metadata.RESTORED) is None
    assert left_in(target.parent) == ["monday"]
    assert not list(folder.glob(".backup-*"))


def test_the_copy_is_of_one_moment_while_the_writer_goes_on(
    folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        add_message(folder, number, spooled=True)
    fix = backup._fix_moment

    def go_on_after(source: sqlite3.Connection, spool: Path, pins: Path) -> None:
        fix(source, spool, pins)
        remove_message(folder, 1)
        add_message(folder, 4, spooled=True)

    monkeypatch.setattr(backup, "_fix_moment", go_on_after)
    back_up(folder, target, None, NOW)
    assert left_in(target / "spool") == ["q1", "q2", "q3"]
    with contextlib.closing(database.open_reader(target)) as db:
        assert db.execute("SELECT count(*) FROM message").fetchone() == (3,)


def test_a_body_that_goes_meanwhile_is_not_missed(folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        add_message(folder, number, spooled=True)
    pin = backup._pin
    gone: list[Any] = []

    def pin_late(file: Path, name: Path) -> None:
        if file.name == "q2" and not gone:
            gone.append(file)
            remove_message(folder, 2)
        pin(file, name)

    monkeypatch.setattr(backup, "_pin", pin_late)
    back_up(folder, target, None, NOW)
    assert gone
    assert left_in(target / "spool") == ["q1"]


def test_a_body_that_is_lost_is_named_and_nothing_is_left(folder: Path, target: Path) -> None:
    add_message(folder, 1, spooled=True)
    (folder / "spool" / "q1").unlink()
    with pytest.raises(StorageFailed, match="spool/q1"):
        back_up(folder, target, None, NOW)
    assert left_in(target.parent) == []
    assert not list(folder.glob(".backup-*"))


def test_a_damaged_journal_makes_no_backup(folder: Path, target: Path) -> None:
    for number in range(1, 300):
        add_message(folder, number)
    file = folder / database.FILE
    with file.open("r+b") as damaged:
        damaged.seek(file.stat().st_size // 2)
        damaged.write(b"\xff" * 8192)
    with pytest.raises(StorageFailed, match=r"damaged|malformed"):
        back_up(folder, target, None, NOW)
    assert left_in(target.parent) == []


def test_an_empty_folder_is_filled(folder: Path, target: Path) -> None:
    add_message(folder, 1)
    target.mkdir()
    back_up(folder, target, None, NOW)
    assert (target / "journal.db").exists()


def test_what_cannot_be_a_target(folder: Path, target: Path) -> None:
    with pytest.raises(ConfigError, match="no journal to back up"):
        back_up(folder, target, None, NOW)
    add_message(folder, 1)
    with pytest.raises(ConfigError, match="inside the data folder"):
        back_up(folder, folder / "copy", None, NOW)
    with pytest.raises(ConfigError, match="no such folder"):
        back_up(folder, target / "deep" / "er", None, NOW)
    target.mkdir()
    (target / "something").touch()
    with pytest.raises(ConfigError, match="not an empty folder"):
        back_up(folder, target, None, NOW)
    assert left_in(target) == ["something"]


def test_without_links_the_files_are_copied(folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_message(folder, 1, spooled=True)

    def no_links(one: Path, other: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    back_up(folder, target, None, NOW)
    assert (target / "spool" / "q1").read_bytes() == b"large"
