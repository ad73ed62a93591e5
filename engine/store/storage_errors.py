"""The errors for a journal that cannot be written, and the SQLite errors that mean them."""

from __future__ import annotations

import sqlite3

from engine.errors import StorageBusy, StorageFailed, StorageFull, StorageUnavailable


def busy() -> StorageBusy:
    """The error for new work while another process has locked the journal."""
    return StorageBusy("another process has locked the journal (a backup tool, a database shell?): come back later")


def lost() -> StorageUnavailable:
    """The error for new work while the journal is not where it was opened."""
    return StorageUnavailable("the data folder was moved, removed or replaced")


def lost_meanwhile() -> StorageUnavailable:
    """The error for work during which the journal was lost."""
    return StorageUnavailable(f"{lost()}; this request may or may not have been carried out")


def full() -> StorageFull:
    """The error for new work on a full disk."""
    return StorageFull("there is no room left on the disk that holds the data folder")


def storage_error(error: BaseException) -> BaseException:
    """Translate an SQLite error into the store's; return any other error unchanged."""
    code = getattr(error, "sqlite_errorcode", 0)
    # SHMSIZE: the log's index, which is a file too, has no room to grow.
    if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return full()
    if code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT):
        return StorageFailed(str(error))
    return error
