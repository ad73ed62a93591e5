"""Makes a consistent copy of the data folder, whether or not an engine is running on it.

1. A read transaction fixes the moment of the copy. In WAL mode readers and the writer never wait for each other; the
   only effect on a running engine is that its write-ahead log grows until the copy is done.
2. The spool files that the journal names at that moment are linked, so that they exist until they are copied.
3. The copy is made under a temporary name beside its target, synced, checked, and renamed once it is complete. A failed
   backup leaves nothing under the target's name.

The copy is marked `restored`: an engine that is started on it holds all unsent mail (`queue/restored_backup.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.errors import ConfigError, StorageFailed, StorageFull
from engine.store import database, files, folder_metadata, sealed, vault_keys
from engine.store.disk_reserve import NO_ROOM
from engine.store.vault import key_id

STEP_PAGES = 512
"""Pages copied in one step (2 MiB); an interrupt is noticed between steps."""

PINS = ".backup-"
LEFTOVER_AFTER = 86_400.0

SPOOL_TRIES = 20
"""Attempts to fix the moment; one fails if a spool file is removed before it is linked."""


class Summary(msgspec.Struct, frozen=True):
    """What a backup contains. `size` is the total of all files in bytes."""

    messages: int
    unsent: int
    events: int
    size: int
    has_key: bool


def back_up(folder: Path, target: Path, key_file: Path | None, now: float) -> Summary:
    """Copy the data folder `folder` to `target`, which must not exist or be an empty folder.

    `key_file`: the file of the key to include, None if the key is not in a file. `now` in seconds since 1970. Raises
    `ConfigError` if source or target cannot be used, `StorageFull`, and `StorageFailed` if the copy cannot be made, is
    incomplete or lacks its key.
    """
    _check(folder, target)
    if not database.in_use(folder):
        database.check_log(folder)
    try:
        with _temporary(target) as made:
            (made / files.SPOOL).mkdir(mode=files.FOLDER_MODE)
            before = _keys(folder, key_file)
            with contextlib.closing(database.open_reader(folder)) as source, _pins(folder, now) as pins:
                _fix_moment(source, folder / files.SPOOL, pins)
                needed = sealed.key_ids(source)
                for file in pins.iterdir():
                    _copy(file, made / files.SPOOL / file.name)
                database.make_journal(made / database.FILE)
                with contextlib.closing(sqlite3.connect(made / database.FILE)) as copy:
                    source.backup(copy, pages=STEP_PAGES)
            if key_file is not None:
                # The key may have been rotated during the copy, so use those from before and after.
                _put_keys(made, _keys(folder, key_file) | before, needed, key_file)
            summary = _finish(made, key_file is not None, now)
            made.rename(target)
        files.sync(target.parent)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise StorageFull(f"{target}: there is not enough room for the backup") from error
        raise StorageFailed(f"{folder / database.FILE}: cannot be backed up: {error}") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull(f"{target}: there is not enough room for the backup") from error
        raise StorageFailed(f"{error.filename or target}: the backup cannot be created: {error.strerror}") from error
    return summary


def _check(folder: Path, target: Path) -> None:
    database.check_present(folder)
    if not (folder / database.FILE).exists():
        raise ConfigError(f"{folder / database.FILE}: there is no journal to back up; check store.path")
    if target.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{target}: a backup cannot be inside the data folder {folder}")
    if os.path.lexists(target) and not (target.is_dir() and not target.is_symlink() and not any(target.iterdir())):
        raise ConfigError(f"{target}: exists already and is not an empty folder")
    if not target.parent.is_dir():
        raise ConfigError(f"{target.parent}: there is no such folder")


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _pins(folder: Path, now: float) -> Iterator[Path]:
    """A folder for hard links to spool files; also removes the folders of backups that were killed."""
    for leftover in folder.glob(f"{PINS}*"):
        if leftover.stat().st_mtime < now - LEFTOVER_AFTER:
            shutil.rmtree(leftover, ignore_errors=True)
    pins = Path(tempfile.mkdtemp(prefix=PINS, dir=folder))
    try:
        yield pins
    finally:
        shutil.rmtree(pins, ignore_errors=True)


def _fix_moment(source: sqlite3.Connection, spool: Path, pins: Path) -> None:
    """Begin the read transaction for the copy, and link every spool file that it names into `pins`.

    A message may end, and its file go, after the transaction began. Then begin again: the later state does not name
    that file.
    """
    for _ in range(SPOOL_TRIES):
        source.execute("BEGIN")
        missing = ""
        for (name,) in source.execute("SELECT spool FROM body WHERE spool IS NOT NULL").fetchall():
            try:
                _pin(spool / name, pins / name)
            except FileNotFoundError:
                missing = name
        if not missing:
            named = {name for (name,) in source.execute("SELECT spool FROM body WHERE spool IS NOT NULL")}
            for file in pins.iterdir():
                if file.name not in named:
                    file.unlink()
            return
        source.execute("ROLLBACK")
    raise StorageFailed(f"{spool / missing}: the journal names this file, and it is not there")


def _pin(file: Path, pin: Path) -> None:
    """Link a spool file, whose content never changes. Raises FileNotFoundError if it is gone."""
    try:
        os.link(file, pin)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:
        # The file system has no hard links.
        shutil.copyfile(file, pin)


def _copy(file: Path, target: Path) -> None:
    with file.open("rb") as source, open(target, "xb", opener=files.private) as out:
        shutil.copyfileobj(source, out, 1024**2)
        out.flush()
        os.fsync(out.fileno())


def _keys(folder: Path, key_file: Path | None) -> dict[str, bytes]:
    """The available keys by id; the one in force is the last."""
    found = [vault_keys.offered(folder), None if key_file is None else vault_keys.read(key_file)]
    return {key_id(key): key for key in found if key is not None}


def _put_keys(made: Path, found: dict[str, bytes], needed: set[str], key_file: Path) -> None:
    """Put the key in force beside the copy, and the next key too if both are needed to open everything."""
    if needed and not needed & set(found):
        raise StorageFailed(f"{key_file}: is not the key that sealed the journal ({', '.join(sorted(needed))})")
    names = [name for name in found if name in needed] or list(found)[-1:]
    for name, file in zip(reversed(names), (files.KEY, files.NEXT_KEY), strict=False):
        vault_keys.write(made / file, found[name])


def _finish(made: Path, has_key: bool, now: float) -> Summary:
    """Mark and check the copied journal, sync everything, and return the summary."""
    journal = made / database.FILE
    with contextlib.closing(database.open_writer(made)) as db:
        folder_metadata.put(db, folder_metadata.RESTORED, {"backup": now})
        rows = [str(row[0]) for row in db.execute("PRAGMA quick_check(1)")]
        if rows != ["ok"]:
            raise StorageFailed(f"the journal is damaged ({' '.join(rows[0].split())}): no backup was made")
        messages, unsent = db.execute("SELECT count(*), count(*) - count(ended) FROM message").fetchone()
        (events,) = db.execute("SELECT count(*) FROM event").fetchone()
        database.move_log(db)
    for each in (journal, made / files.SPOOL, made):
        files.sync(each)
    size = sum(each.stat().st_size for each in made.rglob("*") if each.is_file())
    return Summary(messages, unsent, events, size, has_key)
