"""Is the journal that is open still the one a start would find?

A file that is removed or renamed stays open and takes every write, and what is written to it is lost with the process;
so is what is written to a journal whose folder was moved and another put in its place. Asking costs one `stat` while
nothing in the folder was made, moved or removed, so it is asked for every commit. A journal that was moved and comes
back is the one that is open again.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from engine.store import files

FULL_LOOK = 32
"""Each so many looks ask for every file: a folder may change twice in one tick of its clock."""

log = logging.getLogger("engine.store")


class JournalLocation:
    """Where the open journal, its log and its index lie."""

    def __init__(self, folder: Path) -> None:
        """Remember the files that are there now. Raises OSError when one is missing."""
        root = folder.absolute()
        paths = [str(root / name) for name in (files.JOURNAL, files.LOG, files.INDEX)]
        self._root = str(root)
        self._files = [(path, _identity(path)) for path in paths]
        self._entries: tuple[int, int, int] | None = None
        self._looks = 0
        self.lost = False
        """What the last look came to."""

    def look(self) -> bool:
        """Whether the journal is lost; a change of mind is one line in the log."""
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
    """Changes with every entry that is made, renamed or removed."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
