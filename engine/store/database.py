"""Opening the data folder: its lock, its SQLite file, its schema.

The folder belongs to one engine at a time: it holds `flock` on the folder itself, so that removing a file lets no
second engine in, and on `lock`, which names the process. A second engine ends with an error. The journal is SQLite in
WAL mode with `synchronous=FULL`: a commit that returned is on disk. A journal that is damaged or from a newer version,
or a folder that cannot be written, is refused with a one-line `ConfigError`; nothing is ever repaired silently.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ConfigError
from engine.store import files, wal
from engine.store.migrations import MIGRATIONS

FILE = files.JOURNAL
PAGE = 4096
LOG_PAGES = 4000
"""Pages in the write-ahead log at which it is checkpointed."""


LOCK_ATTEMPTS = 5
LOCK_PAUSE = 0.02
"""Seconds between two attempts to take the lock; a command that asks who holds it keeps it for less."""


def prepare_folder(path: Path) -> None:
    """Create the data folder and its spool, and take away other users' access to them. Raises `ConfigError`."""
    try:
        files.make_folder(path)
        files.secure(path, spooled=True)
        files.make_folder(path / files.SPOOL)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise ConfigError(f"store.path {path}: cannot be used as the data folder: {error.strerror}") from error


@contextlib.contextmanager
def lock_folder(path: Path) -> Iterator[None]:
    """Hold the folder's lock while the block runs. Raises `ConfigError` if another process holds it."""
    with contextlib.ExitStack() as held:
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, folder)
            # Earlier versions locked only this file; it also names the process.
            file = os.open(path / files.LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, files.FILE_MODE)
            held.callback(os.close, file)
        except OSError as error:
            raise ConfigError(f"store.path {path}: cannot be locked: {error.strerror}") from error
        if not (_locked(folder) and _locked(file)):
            raise ConfigError(f"store.path {path}: another engine (pid {_pid(path) or 'unknown'}) is using it")
        # The pid only serves error messages, so a full disk may keep it from being written.
        with contextlib.suppress(OSError):
            os.truncate(file, 0)
            os.write(file, str(os.getpid()).encode())
        yield


def owner(path: Path) -> str | None:
    """The pid of the engine that runs on the folder, "" if not known, None if none runs. Raises OSError."""
    for place in (path, path / files.LOCK):
        try:
            handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        try:
            # A shared lock, so that two processes that ask do not take each other for an engine.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid(path)
        finally:
            os.close(handle)
    return None


def in_use(path: Path) -> bool:
    """Whether an engine runs on the folder."""
    return owner(path) is not None


def _locked(handle: int) -> bool:
    for attempt in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if attempt < LOCK_ATTEMPTS - 1:
                time.sleep(LOCK_PAUSE)
        else:
            return True
    return False


def _pid(path: Path) -> str:
    try:
        return (path / files.LOCK).read_text(encoding="ascii")[:20].strip()
    except (OSError, UnicodeDecodeError):
        return ""


def open_writer(path: Path) -> sqlite3.Connection:
    """The writing connection, after bringing the schema up to date. Raises `ConfigError`."""
    try:
        db = _connect(path, "rwc")
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
            migrate(db, path)
            # Only after the migrations: a step that rebuilds a table would otherwise delete the rows that refer to it.
            db.execute("PRAGMA foreign_keys=ON")
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

    `log_pages`: size at which the write-ahead log is checkpointed; `log_limit`: most bytes its file keeps afterwards.

    The log is first checkpointed into the journal and synced. After a failed sync, the kernel's cache may show data
    that the disk lacks; copying it to another file puts it on disk before anything else depends on it.
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
    """Refuse a damaged write-ahead log before SQLite discards its unreadable part. Raises `ConfigError`."""
    try:
        wal.check(path)
    except OSError as error:
        raise ConfigError(f"{path / wal.FILE}: cannot be read: {error.strerror}") from error


def check_present(path: Path) -> None:
    """Refuse a folder whose journal is missing: creating a new one would hide the loss. Raises `ConfigError`."""
    if in_use(path) and not (path / FILE).exists():
        raise ConfigError(f"{path / FILE}: is gone, and an engine is running on it: put it back, or stop the engine")
    _check_log_alone(path)


def _check_log_alone(path: Path) -> None:
    """Refuse a write-ahead log without a journal: SQLite would delete it. Raises `ConfigError`."""
    file = path / FILE
    if log_size(path) and not (file.exists() and file.stat().st_size):
        raise ConfigError(
            f"{file}: is gone or empty, but its write-ahead log is there: restore a backup; or, to start again without "
            f"those commits, move {wal.FILE} away"
        )


def _check_journal(path: Path) -> None:
    """Refuse a journal that SQLite cannot read. Raises `ConfigError`.

    Checks with a read-only connection: a writing one would checkpoint the log into the damaged file when it is closed.
    """
    _check_log_alone(path)
    if not (path / FILE).exists():
        return
    try:
        with contextlib.closing(open_reader(path)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            return
        raise ConfigError(f"{path / FILE}: the journal cannot be opened: {error}") from error


def move_log(db: sqlite3.Connection) -> None:
    """Checkpoint the write-ahead log and free its disk space, as far as readers permit. Raises sqlite3.Error."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def log_size(path: Path) -> int:
    """Bytes that the write-ahead log occupies on disk."""
    try:
        return (path / wal.FILE).stat().st_size
    except OSError:
        return 0


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction: committed when the block ends, rolled back if it raises. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.commit()
    finally:
        if db.in_transaction:
            db.rollback()


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to this version. Raises `ConfigError` if the journal is from a newer engine."""
    while (version := _version(db)) < len(MIGRATIONS):
        # Another process may be applying the same step; the second one to get the lock finds it done.
        with transaction(db):
            if _version(db) == version:
                for statement in _statements(MIGRATIONS[version]):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={version + 1}")
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"{path / FILE}: written by a newer engine (schema {version}, this one knows up to {len(MIGRATIONS)})"
        )


def make_journal(file: Path) -> None:
    """Create an empty journal with mode 0600; SQLite gives its other files the same mode."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, files.FILE_MODE))
    except FileExistsError:
        # Do not open it: closing it again would release the locks that SQLite holds on it in this process.
        return
    except OSError as error:
        raise ConfigError(f"{file}: the journal cannot be made: {error.strerror}") from error


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit the open transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    if mode == "rwc":
        make_journal(path / FILE)
    # The connection crosses threads by design: statements on Trio's thread, COMMIT on the store's, never both at once.
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
        # A temporary file would need disk space, perhaps on another disk, that may be lacking.
        db.execute("PRAGMA temp_store=MEMORY")
    except BaseException:
        db.close()
        raise
    return db


def data_version(db: sqlite3.Connection) -> int:
    """A number that changes with each commit of another connection."""
    (version,) = db.execute("PRAGMA data_version").fetchone()
    return int(version)
