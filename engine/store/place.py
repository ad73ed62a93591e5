"""Is the journal that is open still the one a start would find?

A file that is removed or renamed stays open and takes every write, and what is written to it is lost with the process;
so is what is written to a journal whose folder was moved and another put in its place. Asking costs three `stat`s, so
it is asked for every commit. A journal that was moved and comes back is the one that is open again.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from engine.store import files

log = logging.getLogger("engine.store")


class Place:
    """Where the open journal, its log and its index lie."""

    def __init__(self, folder: Path) -> None:
        """Remember the files that are there now. Raises OSError when one is missing."""
        root = folder.absolute()
        paths = [str(root / name) for name in (files.JOURNAL, files.LOG, files.INDEX)]
        self._files = [(path, _identity(path)) for path in paths]
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
                    "%s is not the file that is open (moved, removed or replaced): nothing is accepted or sent until "
                    "it is back or the engine is started again",
                    gone,
                )
        return self.lost

    def _gone(self) -> str | None:
        path = None
        try:
            for path, identity in self._files:
                if _identity(path) != identity:
                    return path
        except OSError:
            return path
        return None


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
