"""The disk reserve: a file in the data folder that is deleted when the disk is full, so that outcomes still commit.

The file is really allocated, not sparse. New work is accepted while the file is whole and free space is above the
low-water mark. If an essential commit finds the disk full, the file is deleted and the commit repeated; new work is
then refused until there is room for both the file and the mark. On a small file system each shrinks to at most
1/`SHARE` of it.

Everything here blocks for as long as the file system takes; only `has_room` is cheap (one `statvfs`). If the file
cannot be created for any reason but lack of room, the engine runs without it and logs this once.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

log = logging.getLogger("engine.store")

FILE = "reserve"
LEAST_FREE = 256 * 1024**2
"""Free bytes below which the operator is warned."""
SHARE = 8
"""The file takes at most 1/`SHARE` of the file system, and the low-water mark as much again."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
BLOCK = 4096


class Reserve:
    """The reserve of one data folder. `whole`: the file exists in full; always true with a size of 0."""

    def __init__(self, folder: Path, wanted: int) -> None:
        """`wanted` is in bytes. Nothing is allocated yet."""
        self._folder = folder
        self._file = folder / FILE
        system = os.statvfs(folder)
        self.system_size = system.f_blocks * system.f_frsize
        self.size = min(wanted, self.system_size // SHARE) // BLOCK * BLOCK
        self.low_water = self.size
        self.whole = self.size == 0
        self._refusing = False
        if self.size < wanted // BLOCK * BLOCK:
            log.warning(
                "the file system of %s has only %d KiB: the reserve for a full disk is %d KiB",
                folder,
                self.system_size // 1024,
                self.size // 1024,
            )

    def free(self) -> int:
        """Bytes that this process may still write there; 0 if the folder is gone."""
        try:
            system = os.statvfs(self._folder)
        except OSError:
            return 0
        return system.f_bavail * system.f_frsize

    def has_room(self, size: int = 0) -> bool:
        """Whether new work of `size` bytes may be accepted."""
        if self.low_water == 0:
            return True
        room = self.whole and self.free() >= self.low_water + size
        if room == self._refusing and (room or size == 0):
            self._refusing = not room
            if room:
                log.warning("there is room again: new work is accepted")
            else:
                log.warning("the disk that holds %s is nearly full: new work is refused", self._folder)
        return room

    def make_way(self) -> None:
        """At a start: delete the file if there is not even room to open the journal."""
        if self.free() < self.low_water:
            self._file.unlink(missing_ok=True)

    def take(self) -> None:
        """Allocate the file if it is not whole and there is room for it and the low-water mark."""
        if self.size == 0:
            self._file.unlink(missing_ok=True)
            return
        if self._is_allocated():
            self.whole = True
            return
        self._file.unlink(missing_ok=True)
        self.whole = False
        if self.free() < self.size + self.low_water:
            return
        try:
            handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(handle, 0, self.size)
            finally:
                os.close(handle)
        except OSError as error:
            self._file.unlink(missing_ok=True)
            if error.errno in NO_ROOM:
                return
            log.warning("%s cannot be allocated (%s): continuing without it", self._file, error.strerror)
            self.size = 0
        self.whole = True

    def release(self) -> bool:
        """Delete the file; return whether that made room."""
        if self.size == 0 or not self.whole:
            return False
        self._file.unlink(missing_ok=True)
        self.whole = False
        log.warning("the disk that holds %s is full: the reserve is in use", self._folder)
        return True

    def _is_allocated(self) -> bool:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return False
        return found.st_size == self.size and found.st_blocks * 512 >= self.size
