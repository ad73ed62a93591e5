"""Checks whether the open journal is still the one that a start would find.

A file that was removed or renamed stays open and accepts every write, but those writes are lost when the process ends.
The same holds if the data folder was moved and another put in its place. The check costs one `stat` unless something in
the folder was created, moved or removed, so it is made for every commit. A journal that is moved back is found again.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from engine.store import files

FULL_LOOK = 32
"""Every N-th look checks every file, since a folder may change twice within one tick of its timestamp."""

log = logging.getLogger("engine.store")


class JournalLocation:
    """The paths and identities of the open journal, its log and its index."""

    def __init__(self, folder: Path) -> None:
        """Note the files that exist now. Raises OSError if one is missing."""
        root = folder.absolute()
        paths = [str(root / name) for name in (files.JOURNAL, files.LOG, files.INDEX)]
        self._root = str(root)
        self._files = [(path, _identity(path)) for path in paths]
        self._entries: tuple[int, int, int] | None = None
        self._looks = 0
        self.lost = False
        """The result of the last look."""

    def look(self) -> bool:
        """Whether the journal is lost; logs each change of the answer."""
        gone = self._gone()
        if (gone is not None) != self.lost:
            self.lost = gone is not None
            if gone is None:
                log.warning("the journal is back: new work is accepted")
            else:
                log.error(
                    "%s is no longer the file that the engine has open (moved, removed or replaced): nothing is "
                    "accepted or sent until it is back or the engine is restarted",
                    gone,
                )
        return self.lost

    def _gone(self) -> str | None:
        path = self._root
        try:
            entries = _entries(self._root)
            self._looks += 1
            if entries == self._entries and self._looks % FULL_LOOK:
                return None
            self._entries = None
            for path, identity in self._files:
                if _identity(path) != identity:
                    return path
        except OSError:
            self._entries = None
            return path
        self._entries = entries
        return None


def _entries(folder: str) -> tuple[int, int, int]:
    """Values of the folder that change whenever an entry is created, renamed or removed."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
