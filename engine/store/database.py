"""Opening the data folder: its lock, its SQLite file, its schema.

The folder belongs to one engine at a time (`flock` on the folder itself, so that no removed file lets a second one in,
and on `lock`, which names the process); a second one is told so and leaves. The journal is SQLite in WAL mode with
`synchronous=FULL`: a commit that returned is on disk. A journal written by a newer version, a damaged one, or a folder
that cannot be written is refused with one line of text (`ConfigError`); nothing is ever repaired silently.
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
"""The write-ahead log is moved into the journal when it holds as many pages."""


LOCK_ATTEMPTS = 5
LOCK_PAUSE = 0.02
"""Seconds between two attempts at the lock: a command that only asks who holds it has it for less."""


def prepare_folder(path: Path) -> None:
    """Make the data folder and its spool, and mend what of it others may read. Raises `ConfigError`."""
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
    """Hold the folder for this process as long as the block lasts. Raises `ConfigError` when another one does."""
    with contextlib.ExitStack() as held:
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, folder)
            # Still what it was when earlier versions locked nothing else; and it says who runs.
            file = os.open(path / files.LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, files.FILE_MODE)
            held.callback(os.close, file)
        except OSError as error:
            raise ConfigError(f"store.path {path}: cannot be locked: {error.strerror}") from error
        if not (_locked(folder) and _locked(file)):
            raise ConfigError(f"store.path {path}: another engine (pid {_pid(path) or 'unknown'}) is using it")
        # The number is only for those who find the folder taken: on a full disk it is left out.
        with contextlib.suppress(OSError):
            os.truncate(file, 0)
            os.write(file, str(os.getpid()).encode())
        yield


def owner(path: Path) -> str | None:
    """The pid of the engine that runs on the folder, "" when it is not known, None when none does. Raises OSError."""
    for place in (path, path / files.LOCK):
        try:
            handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        try:
            # Shared, and given back at once: two who ask do not take each other for an engine.
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
    """The connection that writes, schema brought up to date. Raises `ConfigError`."""
    try:
        db = _connect(path, "rwc")
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
            migrate(db, path)
            # Not before: a step that makes a table anew would take what hangs on its rows with it.
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


def check_present(path: Path) -> None:
    """Refuse a folder whose journal is gone: a new one beside what is left would hide that. Raises `ConfigError`."""
    if in_use(path) and not (path / FILE).exists():
        raise ConfigError(f"{path / FILE}: is gone, and an engine is running on it: put it back, or stop the engine")
    _check_log_alone(path)


def _check_log_alone(path: Path) -> None:
    """Refuse a log without its journal: SQLite would remove it. Raises `ConfigError`."""
    file = path / FILE
    if log_size(path) and not (file.exists() and file.stat().st_size):
        raise ConfigError(
            f"{file}: is gone or empty, but its write-ahead log is there: restore a backup; or, to begin anew without "
            f"those commits, move {wal.FILE} away"
        )


def _check_journal(path: Path) -> None:
    """Refuse a journal SQLite cannot read. Raises `ConfigError`.

    By a connection that cannot write: the last one that can would move the log into the damaged file as it is closed.
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
    """Move the write-ahead log into the journal and give its room back, as far as no reader is in the way.

    Raises sqlite3.Error.
    """
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def log_size(path: Path) -> int:
    """Bytes the write-ahead log takes on the disk."""
    try:
        return (path / wal.FILE).stat().st_size
    except OSError:
        return 0


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction, kept when the block ends and undone when it raises. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.commit()
    finally:
        if db.in_transaction:
            db.rollback()


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to this version. Raises `ConfigError` when the journal is from a newer engine."""
    while (version := _version(db)) < len(MIGRATIONS):
        # Another process may be doing the same step: whoever gets the lock second finds it done.
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
    """An empty journal for this user alone; SQLite gives the files it makes beside it the same mode."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, files.FILE_MODE))
    except FileExistsError:
        # Not opened: closing it would give up the locks SQLite holds on it in this process.
        return
    except OSError as error:
        raise ConfigError(f"{file}: the journal cannot be made: {error.strerror}") from error


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
    if mode == "rwc":
        make_journal(path / FILE)
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
