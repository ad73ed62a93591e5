"""Opening the data folder: its lock, its SQLite file, its schema.

The folder belongs to one engine at a time (`flock` on `lock`); a second one is told so and leaves. The journal is
SQLite in WAL mode with `synchronous=FULL`: a commit that returned is on disk. A journal written by a newer version, a
damaged one, or a folder that cannot be written is refused with one line of text (`ConfigError`); nothing is ever
repaired silently.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engine.errors import ConfigError
from engine.store import wal
from engine.store.migrations import MIGRATIONS

FILE = "journal.db"
PAGE = 4096
LOG_PAGES = 4000
"""The write-ahead log is moved into the journal when it holds as many pages."""


def prepare_folder(path: Path) -> None:
    """Make the data folder (mode 0700) and its spool. Raises `ConfigError`."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (path / "spool").mkdir(exist_ok=True, mode=0o700)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise ConfigError(f"store.path {path}: cannot be used as the data folder: {error.strerror}") from error


def lock_folder(path: Path) -> IO[str]:
    """Take the folder for this process; held until the returned file is closed. Raises `ConfigError`."""
    try:
        handle = (path / "lock").open("a+")
    except OSError as error:
        raise ConfigError(f"store.path {path}: cannot be locked: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        owner = handle.read().strip()
        handle.close()
        raise ConfigError(f"store.path {path}: another engine (pid {owner or 'unknown'}) is using it") from error
    # The number is only for those who find the folder taken: on a full disk it is left out.
    with contextlib.suppress(OSError):
        handle.truncate(0)
        os.write(handle.fileno(), str(os.getpid()).encode())
    return handle


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that writes, schema brought up to date. Raises `ConfigError`."""
    try:
        db = _connect(path, "rwc")
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
            migrate(db, path)
        except BaseException:
            db.close()
            raise
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path / FILE}: the journal cannot be opened: {error}") from error
    return db


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads; it never waits for the writer."""
    db = _connect(path, "ro")
    db.execute("PRAGMA query_only=ON")
    return db


def open_for_engine(path: Path, log_pages: int, log_limit: int) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """The writer, which never waits for a lock, and a reader. Raises `ConfigError`.

    `log_pages`: when the log is moved into the journal; `log_limit`: bytes its file keeps afterwards at most.

    What the log holds is moved into the journal and synced first. After a failed sync the kernel may show what the disk
    lacks; written anew to another file, it is on the disk before anything more is built on it.
    """
    check_log(path)
    _check_journal(path)
    db = open_writer(path)
    try:
        db.execute(f"PRAGMA wal_autocheckpoint={log_pages}")
        db.execute(f"PRAGMA journal_size_limit={log_limit}")
        try:
            move_log(db)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
        db.execute("PRAGMA busy_timeout=0")
        return db, open_reader(path)
    except sqlite3.DatabaseError as error:
        db.close()
        raise ConfigError(f"{path / FILE}: the journal cannot be opened: {error}") from error


def check_log(path: Path) -> None:
    """Refuse a damaged write-ahead log before SQLite drops what it cannot read of it. Raises `ConfigError`."""
    try:
        wal.check(path)
    except OSError as error:
        raise ConfigError(f"{path / wal.FILE}: cannot be read: {error.strerror}") from error


def _check_journal(path: Path) -> None:
    """Refuse a journal SQLite cannot read. Raises `ConfigError`.

    By a connection that cannot write: the last one that can would move the log into the damaged file as it is closed.
    """
    if not (path / FILE).exists():
        return
    try:
        with contextlib.closing(open_reader(path)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            return
        raise ConfigError(f"{path / FILE}: the journal cannot be opened: {error}") from error


def in_use(path: Path) -> bool:
    """Whether an engine runs on the folder."""
    try:
        handle = (path / "lock").open()
    except FileNotFoundError:
        return False
    with handle:
        try:
            # Shared, and given back at once: two who ask do not take each other for an engine.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def move_log(db: sqlite3.Connection) -> None:
    """Move the write-ahead log into the journal and give its room back, as far as no reader is in the way.

    Raises sqlite3.Error.
    """
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def log_size(path: Path) -> int:
    """Bytes the write-ahead log takes on the disk."""
    try:
        return (path / f"{FILE}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to this version. Raises `ConfigError` when the journal is from a newer engine."""
    while (version := _version(db)) < len(MIGRATIONS):
        # Another process may be doing the same step: whoever gets the lock second finds it done.
        db.execute("BEGIN IMMEDIATE")
        try:
            if _version(db) == version:
                for statement in _statements(MIGRATIONS[version]):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={version + 1}")
            db.commit()
        finally:
            if db.in_transaction:
                db.rollback()
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"{path / FILE}: written by a newer engine (schema {version}, this one knows up to {len(MIGRATIONS)})"
        )


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit the transaction at hand."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # The connection crosses threads by design: statements on Trio's thread, commits on the store's, never both at once.
    db = sqlite3.connect(
        f"{(path / FILE).absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        timeout=5.0,
    )
    try:
        db.execute("PRAGMA cache_size=-8000")
        # A temporary file would need room, elsewhere perhaps, when there may be none.
        db.execute("PRAGMA temp_store=MEMORY")
    except BaseException:
        db.close()
        raise
    return db
