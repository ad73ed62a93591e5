"""Whose the files of the data folder are, and who else may read them."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.config import StoreConfig
from engine.errors import ConfigError
from engine.store import bodies, database, files, vault_keys
from engine.store.backup import back_up
from engine.store.disk_reserve import Reserve
from engine.world import World

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
NOBODY = 65534


def modes(folder: Path) -> dict[str, int]:
    return {str(each.relative_to(folder)): stat.S_IMODE(each.stat().st_mode) for each in (folder, *folder.rglob("*"))}


def fill(folder: Path) -> None:
    """One of everything an engine makes."""
    database.prepare_folder(folder)
    vault_keys.load(folder, StoreConfig(), World(), needed=())
    Reserve(folder, 4096).take()
    bodies.Spool(folder / "spool")._write("body", b"x")


@pytest.fixture(params=[0o000, 0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_everything_is_made_for_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with contextlib.ExitStack() as stack:
        fill(folder)
        stack.enter_context(database.lock_folder(folder))
        db = stack.enter_context(contextlib.closing(database.open_writer(folder)))
        db.execute("INSERT INTO setting VALUES ('a', '1')")
        found = modes(folder)
        back_up(folder, tmp_path / "copy", folder / "key", 0.0)
    assert set(found) == {".", "spool", "spool/body", "key", "lock", "reserve", *(files.NAMES[:3])}
    for name, mode in (found | modes(tmp_path / "copy")).items():
        assert mode == (0o700 if name in (".", "spool") else 0o600), name


@pytest.mark.parametrize("mode", [0o777, 0o2755, 0o644, 0o400, 0o000])
def test_what_is_ours_is_mended(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "data"
    fill(folder)
    database.open_writer(folder).close()
    for name in ("key", "reserve", "journal.db", "spool/body"):
        (folder / name).chmod(mode & 0o777)
    (folder / "spool").chmod(mode | 0o500)
    folder.chmod(mode | 0o500)
    assert list(files.faults(folder, spooled=True))
    database.prepare_folder(folder)
    assert modes(folder) == {
        name: 0o700 if name in (".", "spool") else 0o600
        for name in (".", "spool", "spool/body", "key", "reserve", "journal.db")
    }
    assert list(files.faults(folder, spooled=True)) == []


@root
@pytest.mark.parametrize("name", [*files.NAMES, "spool/body", "spool", ""])
def test_what_is_somebody_elses_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    database.prepare_folder(folder)
    path = folder / name
    if not path.is_dir():
        path.write_bytes(b"")
    path.chmod(0o755)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(ConfigError) as caught:
        database.prepare_folder(folder)
    told = f"{path} belongs to user {files.user_name(NOBODY)} and this runs as {files.user_name(0)}: "
    assert str(caught.value).startswith(told if name else f"store.path {told}")
    assert "\n" not in str(caught.value)
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) == (0o755, NOBODY)
    if path.is_dir():
        assert str(caught.value).endswith(f"run it as {files.user_name(NOBODY)}")


@pytest.mark.parametrize("name", files.NAMES)
@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe", "socket"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    folder, path = tmp_path / "data", tmp_path / "data" / name
    folder.mkdir(mode=0o700)
    if kind in ("link", "dangling"):
        path.symlink_to(tmp_path / "elsewhere")
        if kind == "link":
            (tmp_path / "elsewhere").write_bytes(b"precious")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(folder):
            bound.bind(name)
    words = {"link": "a symbolic link", "dangling": "a symbolic link", "pipe": "a pipe", "socket": "a socket"}
    with pytest.raises(ConfigError, match=f"{name} is {words.get(kind, 'a folder')} and not a file: move it away"):
        database.prepare_folder(folder)


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_a_spool_that_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    if kind == "file":
        (folder / "spool").write_bytes(b"")
    else:
        (folder / "spool").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="spool is not a folder: move it away"):
        database.prepare_folder(folder)


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    for name in ("real", "bodies"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "data").symlink_to("real")
    (tmp_path / "real" / "spool").symlink_to(tmp_path / "bodies")
    database.prepare_folder(tmp_path / "data")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("real", "bodies")] == [0o700, 0o700]


def test_a_folder_that_others_use_is_not_closed_to_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / "mail.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"is open to others and holds 'mail\.txt'.*a folder of its own"):
        database.prepare_folder(home)
    assert sorted(each.name for each in home.iterdir()) == ["mail.txt"]
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(ConfigError, match="is shared by all users"):
        database.prepare_folder(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


def test_an_empty_file_system_and_an_old_data_folder_are_ours(tmp_path: Path) -> None:
    for name, held in (("fresh", "lost+found"), ("old", "notes.txt")):
        folder = tmp_path / name
        folder.mkdir(mode=0o755)
        (folder / held).mkdir()
        if name == "old":
            (folder / "journal.db").touch()
        database.prepare_folder(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("left", ["absent", "empty"])
def test_a_log_without_its_journal_is_not_thrown_away(folder: Path, left: str) -> None:
    db = database.open_writer(folder)
    db.execute("INSERT INTO setting VALUES ('a', '1')")
    log = (folder / "journal.db-wal").read_bytes()
    db.close()
    (folder / "journal.db-wal").write_bytes(log)
    (folder / "journal.db").unlink()
    if left == "empty":
        (folder / "journal.db").touch()
    with pytest.raises(ConfigError, match="is gone or empty, but its write-ahead log is there"):
        database.open_for_engine(folder, 1000, 10**6)
    assert (folder / "journal.db-wal").read_bytes() == log


def test_a_journal_that_is_gone_under_an_engine_is_not_made_anew(folder: Path) -> None:
    with database.lock_folder(folder), pytest.raises(ConfigError, match="is gone, and an engine is running on it"):
        database.check_present(folder)
    database.check_present(folder)
