from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.store import database, wal
from engine.store.wal import FRAME_HEADER, HEADER

FRAME = FRAME_HEADER + 4096
COMMITS = 6


@pytest.fixture
def killed(tmp_path: Path, folder: Path) -> Path:
    """A folder as a killed process leaves it: several commits in the log, nothing moved into the journal."""
    copy = tmp_path / "killed"
    with contextlib.closing(database.open_writer(folder)) as db:
        database.move_log(db)
        for number in range(COMMITS):
            db.execute("INSERT INTO setting (name, value) VALUES (?, ?)", (f"{number}", b"x" * 5000))
        shutil.copytree(folder, copy)
    return copy


def commits(folder: Path) -> int:
    with contextlib.closing(database.open_writer(folder)) as db:
        return int(db.execute("SELECT count(*) FROM setting").fetchone()[0])


def frames(folder: Path) -> int:
    return (folder / wal.FILE).stat().st_size // FRAME


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 0x10
    file.write_bytes(data)


@pytest.mark.parametrize("index", [True, False], ids=["killed", "power cut"])
def test_a_whole_log_is_taken(killed: Path, index: bool) -> None:
    if not index:
        (killed / wal.INDEX).unlink()
    wal.check(killed)
    assert commits(killed) == COMMITS


def test_no_log_and_an_empty_one_are_whole(folder: Path) -> None:
    wal.check(folder)
    database.open_writer(folder).close()
    wal.check(folder)
    (folder / wal.FILE).touch()
    wal.check(folder)


@pytest.mark.parametrize("size", [HEADER, HEADER + FRAME_HEADER])
def test_a_header_that_never_reached_the_disk_is_no_damage(killed: Path, size: int) -> None:
    """A disk that fails during the first commit of a log leaves room for a header, and zeros in it."""
    (killed / wal.FILE).write_bytes(bytes(size))
    with pytest.raises(ConfigError, match="its header cannot be read"):
        wal.check(killed)
    (killed / wal.INDEX).unlink()
    wal.check(killed)
    database.open_writer(killed).close()


def test_every_flipped_bit_is_found_or_loses_nothing(killed: Path) -> None:
    log = (killed / wal.FILE).read_bytes()
    places = [
        4,
        18,
        25,
        *(HEADER + number * FRAME + at for number in range(frames(killed)) for at in (0, 5, 9, 17, 999)),
    ]
    found = 0
    for place in places:
        flip(killed / wal.FILE, place)
        with pytest.raises(ConfigError, match=r"journal\.db-wal: the write-ahead log is damaged"):
            wal.check(killed)
        found += 1
        (killed / wal.FILE).write_bytes(log)
    assert found == len(places) > 60
    assert commits(killed) == COMMITS


def test_without_the_index_damage_before_the_last_commit_is_found(killed: Path) -> None:
    (killed / wal.INDEX).unlink()
    flip(killed / wal.FILE, HEADER + FRAME_HEADER + 100)
    with pytest.raises(ConfigError, match=r"good up to frame 0, and \d commits follow"):
        wal.check(killed)


@pytest.mark.parametrize("size", [0, 10, HEADER, HEADER + FRAME, -FRAME, -1])
def test_a_log_cut_short_is_found(killed: Path, size: int) -> None:
    data = (killed / wal.FILE).read_bytes()
    (killed / wal.FILE).write_bytes(data[:size])
    with pytest.raises(ConfigError, match="damaged"):
        wal.check(killed)


def test_a_log_that_is_gone_is_found(killed: Path) -> None:
    (killed / wal.FILE).unlink()
    with pytest.raises(ConfigError, match="it is gone"):
        wal.check(killed)


def test_an_unfinished_last_commit_is_no_damage(killed: Path) -> None:
    # As a power cut leaves it: the last commit never synced, its commit frame there and an earlier frame not.
    (killed / wal.INDEX).unlink()
    log = killed / wal.FILE
    data = log.read_bytes()
    places = [HEADER + number * FRAME for number in range(frames(killed))]
    commit_frames = [place for place in places if data[place + 4 : place + 8] != bytes(4)]
    assert commit_frames[-1] == places[-1]
    torn = commit_frames[-2] + FRAME
    assert torn < places[-1]
    log.write_bytes(data[: torn + FRAME_HEADER] + bytes(FRAME - FRAME_HEADER) + data[torn + FRAME :])
    wal.check(killed)
    assert commits(killed) == COMMITS - 1


def test_frames_of_an_earlier_log_are_no_damage(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "killed"
    with contextlib.closing(database.open_writer(folder)) as db:
        for number in range(20):
            db.execute("INSERT INTO setting (name, value) VALUES (?, ?)", (f"{number}", b"x" * 5000))
        assert db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
        db.execute("INSERT INTO setting (name, value) VALUES ('last', 'x')")
        shutil.copytree(folder, copy)
    assert frames(copy) > 40
    wal.check(copy)
    (copy / wal.INDEX).unlink()
    wal.check(copy)
    assert commits(copy) == 21


def test_the_start_refuses_and_changes_nothing(killed: Path) -> None:
    flip(killed / wal.FILE, HEADER + 2 * FRAME)
    before = {file.name: file.read_bytes() for file in killed.iterdir() if file.is_file()}
    with pytest.raises(ConfigError, match=r"journal\.db-wal"):
        database.open_for_engine(killed, 1000, 10**6)
    assert {file.name: file.read_bytes() for file in killed.iterdir() if file.is_file()} == before


@pytest.mark.parametrize("keep", [100, 4096, 8192 + 10])
def test_a_journal_cut_short_is_refused(folder: Path, keep: int) -> None:
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute("INSERT INTO setting (name, value) VALUES ('a', ?)", (b"x" * 100_000,))
    file = folder / database.FILE
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"journal\.db"):
        database.open_for_engine(folder, 1000, 10**6)


def test_the_log_of_a_damaged_journal_is_left_alone(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "killed"
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute("INSERT INTO setting (name, value) VALUES ('a', '1')")
        database.move_log(db)
        # The first page, which the damage is in, is not in the log: it could be taken from there.
        db.execute("UPDATE setting SET value = '2'")
        shutil.copytree(folder, copy)
    journal, log = (copy / database.FILE).read_bytes(), (copy / wal.FILE).read_bytes()
    flip(copy / database.FILE, 3)
    with pytest.raises(ConfigError, match=r"journal\.db: the journal cannot be opened"):
        database.open_for_engine(copy, 1000, 10**6)
    assert (copy / wal.FILE).read_bytes() == log
    (copy / database.FILE).write_bytes(journal)
    writer, reader = database.open_for_engine(copy, 1000, 10**6)
    assert reader.execute("SELECT value FROM setting").fetchall() == [("2",)]
    reader.close()
    writer.close()


def test_sqlite_reads_its_own_sums_as_we_do(killed: Path) -> None:
    # What SQLite takes of the log is what `check` calls good.
    (killed / wal.INDEX).unlink()
    data = (killed / wal.FILE).read_bytes()
    (killed / wal.FILE).write_bytes(data[: HEADER + FRAME * (frames(killed) - 1)])
    wal.check(killed)
    db = sqlite3.connect(killed / database.FILE)
    assert db.execute("SELECT count(*) FROM setting").fetchone() == (COMMITS - 1,)
    db.close()
