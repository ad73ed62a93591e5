"""Folders that requests create, rename and remove, so that a list from before or during the change is not used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FolderChanges:
    """The changes of one account's folders."""

    def __init__(self) -> None:
        self._begun = 0
        self._ended = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Wrap a change of a folder, from the command to the server until the result is stored."""
        self._begun += 1
        try:
            yield
        finally:
            self._ended += 1

    @property
    def mark(self) -> tuple[int, int]:
        """The current position, for `none_since`."""
        return self._begun, self._ended

    def none_since(self, mark: tuple[int, int]) -> bool:
        """Whether no folder was being changed at that mark, and none has been changed since."""
        return mark == (self._begun, self._ended) and self._begun == self._ended
