"""What lies in the data folder, and whose it is: files of mode 0600 in folders of mode 0700, all of this user.

Looked at by every start and every command before anything is opened, whatever the umask was when the files were made.
What is ours with another mode is mended. What belongs to another user, what is a link, a folder or a pipe in place of
a file, and a folder that other people use too are refused with one line that says what to do (`ConfigError`): a file
that the wrong user makes here stops the right one later.
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
"""What a folder may hold and still be nothing but a data folder."""

FILE_MODE, FOLDER_MODE = 0o600, 0o700


class FileFault(msgspec.Struct, frozen=True):
    """Something that is not as it should be. `mode` is the one it should have, None where no mode would mend it."""

    text: str
    path: Path
    mode: int | None = None


def secure(folder: Path, *, spooled: bool = False) -> None:
    """Mend the modes of the data folder and its files, with those in the spool if `spooled`. Raises `ConfigError`."""
    for fault in faults(folder, spooled=spooled):
        if fault.mode is None:
            raise ConfigError(fault.text)
        try:
            fault.path.chmod(fault.mode)
        except OSError as error:
            raise ConfigError(f"{fault.text}: it cannot be changed: {error.strerror}") from error


def faults(folder: Path, *, spooled: bool) -> Iterator[FileFault]:
    """What is wrong, found as it is asked for; nothing about a folder that is not there. Raises `ConfigError`."""
    try:
        yield from _faults(folder, spooled)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be looked at: {error.strerror}") from error


def make_folder(path: Path) -> None:
    """A folder for this user alone, unless it is there. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)


def private(path: str, flags: int) -> int:
    """An opener for `open` that makes files for this user alone."""
    return os.open(path, flags, FILE_MODE)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def user_name(uid: int) -> str:
    """The name of a user, the number where it has none."""
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
    """Why a folder of ours must not be closed to others: closing a home or /tmp would be worse than refusing it."""
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
