"""Folders that requests make, rename and remove, so that nobody judges them by a list from before or meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FolderChanges:
    """Those of one account."""

    def __init__(self) -> None:
        self._begun = 0
        self._ended = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A folder is being changed, from the command to the server until what came of it is stored."""
        self._begun += 1
        try:
            yield
        finally:
            self._ended += 1

    @property
    def mark(self) -> tuple[int, int]:
        """Where things stand, for `none_since`."""
        return self._begun, self._ended

    def none_since(self, mark: tuple[int, int]) -> bool:
        """Whether no folder was being changed then, and none has been since."""
        return mark == (self._begun, self._ended) and self._begun == self._ended
