"""The files of the data folder and who may use them: mode 0600 in folders of mode 0700, all owned by this user.

Every start and every command checks this before it opens anything, since the umask may have been wrong when the files
were made. The mode of our own files is corrected. Refused, with a one-line `ConfigError` that says what to do, are:
files of another user, a link, folder or pipe in place of a file, and a folder that also holds other things. A file that
the wrong user creates here would stop the right user later.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.errors import ConfigError

JOURNAL = "journal.db"
LOG, INDEX = f"{JOURNAL}-wal", f"{JOURNAL}-shm"
LOCK, KEY, NEXT_KEY, SPOOL = "lock", "key", "key.next", "spool"
RESERVE = "reserve"
CONTROL = "control"
"""The socket on which the engine answers its owner (`control_socket.py`)."""
NAMES = (JOURNAL, LOG, INDEX, LOCK, KEY, NEXT_KEY, RESERVE)
LEFT_ALONE = {"lost+found", SPOOL, CONTROL, *NAMES}
"""What a folder may contain and still count as a pure data folder."""

FILE_MODE, FOLDER_MODE = 0o600, 0o700


class FileFault(msgspec.Struct, frozen=True):
    """A file with the wrong owner, type or mode. `mode` is the right mode; None if changing it would not help."""

    text: str
    path: Path
    mode: int | None = None


def secure(folder: Path, *, spooled: bool = False) -> None:
    """Correct the modes of the data folder and its files (and, if `spooled`, of the spool). Raises `ConfigError`."""
    for fault in faults(folder, spooled=spooled):
        if fault.mode is None:
            raise ConfigError(fault.text)
        try:
            fault.path.chmod(fault.mode)
        except OSError as error:
            raise ConfigError(f"{fault.text}: it cannot be changed: {error.strerror}") from error


def faults(folder: Path, *, spooled: bool) -> Iterator[FileFault]:
    """The faults, found one by one as the caller iterates; none if the folder does not exist. Raises `ConfigError`."""
    try:
        yield from _faults(folder, spooled)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be examined: {error.strerror}") from error


def make_folder(path: Path) -> None:
    """Create a folder with mode 0700 unless it exists. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)


def private(path: str, flags: int) -> int:
    """An opener for `open` that creates files with mode 0600."""
    return os.open(path, flags, FILE_MODE)


def sync(path: Path) -> None:
    """Sync a file, or the entries of a folder, to disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def user_name(uid: int) -> str:
    """The name of a user, or the number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _faults(folder: Path, spooled: bool) -> Iterator[FileFault]:
    if not folder.exists():
        return
    yield from _folder(folder)
    for name in NAMES:
        yield from _file(folder / name)
    yield from _file(folder / CONTROL, stat.S_IFSOCK)
    spool = folder / SPOOL
    if os.path.lexists(spool):
        yield from _folder(spool, inside=True)
        if spooled:
            with os.scandir(spool) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        yield from _file(Path(entry.path))


def _folder(path: Path, *, inside: bool = False) -> Iterator[FileFault]:
    what = "" if inside else "store.path "
    try:
        found = path.stat()
    except FileNotFoundError:
        found = None
    if found is None or not stat.S_ISDIR(found.st_mode):
        yield FileFault(f"{what}{path} is not a folder: move it away", path)
        return
    me = os.geteuid()
    if found.st_uid != me:
        owner = user_name(found.st_uid)
        yield FileFault(
            f"{what}{path} belongs to user {owner} and this runs as {user_name(me)}: run it as {owner}", path
        )
        return
    mode = stat.S_IMODE(found.st_mode)
    if mode == FOLDER_MODE:
        return
    if not inside and (strange := _strange(path, mode)):
        yield FileFault(f"{what}{path} {strange}: give the engine a folder of its own", path)
        return
    yield FileFault(f"{what}{path} has mode {mode:04o} and not {FOLDER_MODE:04o}", path, FOLDER_MODE)


def _strange(path: Path, mode: int) -> str:
    """Why this folder's mode must not be corrected, "" if it may: it could be a home folder or /tmp."""
    if mode & stat.S_ISVTX:
        return "is shared by all users"
    with os.scandir(path) as entries:
        names = {entry.name for entry in entries}
    others = sorted(name for name in names - LEFT_ALONE if not name.startswith(".backup-"))
    if others and JOURNAL not in names:
        return f"is open to others and holds {others[0]!r}, which is not the engine's"
    return ""


def _file(path: Path, kind: int = stat.S_IFREG) -> Iterator[FileFault]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_IFMT(found.st_mode) != kind:
        yield FileFault(f"{path} is {_kind(found.st_mode)} and not {_kind(kind)}: move it away", path)
        return
    me = os.geteuid()
    if found.st_uid != me:
        owner, name = user_name(found.st_uid), user_name(me)
        yield FileFault(f"{path} belongs to user {owner} and this runs as {name}: chown {name} {path}", path)
        return
    mode = stat.S_IMODE(found.st_mode)
    if mode != FILE_MODE:
        yield FileFault(f"{path} has mode {mode:04o} and not {FILE_MODE:04o}", path, FILE_MODE)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")
