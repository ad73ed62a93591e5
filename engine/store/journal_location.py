"""Checks whether the open journal is still the one that a start would find.

A file that was removed or renamed stays open and accepts every write, but those writes are lost when the process ends.
The same holds if the data folder was moved and another put in its place. The check costs one `stat` unless something in
the folder was created, moved or removed, so it is made for every commit. A journal that is moved back is found again.

Timestamps have ticks of several milliseconds, and a folder that changes twice within one looks unchanged. So the folder
is relied on only once the log, which each commit writes to, has a later time than the folder's last change.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from engine.store import files

log = logging.getLogger("engine.store")


class JournalLocation:
    """The paths and identities of the open journal, its log and its index."""

    def __init__(self, folder: Path) -> None:
        """Note the files that exist now. Raises OSError if one is missing."""
        root = folder.absolute()
        paths = [str(root / name) for name in (files.JOURNAL, files.LOG, files.INDEX)]
        self._root = str(root)
        self._files = [(path, _identity(os.lstat(path))) for path in paths]
        self._log = str(root / files.LOG)
        self._entries: tuple[int, int, int] | None = None
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
            if entries == self._entries:
                return None
            self._entries = None
            path = self._log
            written = os.lstat(path).st_mtime_ns
            for path, identity in self._files:
                if _identity(os.lstat(path)) != identity:
                    return path
        except OSError:
            self._entries = None
            return path
        if written > entries[2]:
            self._entries = entries
        return None


def _entries(folder: str) -> tuple[int, int, int]:
    """Values of the folder that change, at the latest with the next tick, with the names in it."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
