"""Folders that requests create, rename and remove, so that a list from before or during the change is not used.

A change is kept on disk from before its command is sent until its result is stored. If the connection breaks or the
engine crashes in between, what is then observed of these folders still counts as the request's (`doubtful`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from engine.store import unfinished_changes
from engine.store.unfinished_changes import Unfinished
from engine.store.writer import Store, Tx


class FolderChange:
    """A change of the folders at and below some paths."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths
        self.stored: int | None = None
        """Its number in the store, while it is kept there."""
        self.ended = 0
        """Its number in the order in which changes ended."""
        self.rounds = 0
        """How many rounds whose list was requested after its end have ended."""


class FolderChanges:
    """The changes of one account's folders."""

    def __init__(self) -> None:
        self._begun = 0
        self._ended = 0
        self._doubtful: list[FolderChange] = []

    def recall(self, left: Mapping[int, Unfinished | None]) -> None:
        """Take what is left in the store of an engine that has crashed."""
        for number, each in left.items():
            if each is not None and each.paths:
                change = FolderChange(*each.paths)
                change.stored = number
                self._doubtful.append(change)

    @contextmanager
    def changing(self) -> Iterator[FolderChange]:
        """Wrap a change of folders, from the command to the server until the result is stored.

        If the block raises between `keep` and `finish`, the result is unknown.
        """
        self._begun += 1
        change = FolderChange()
        try:
            yield change
        except BaseException:
            if change.stored is not None:
                self._doubtful.append(change)
            raise
        finally:
            self._ended += 1
            change.ended = self._ended

    async def keep(self, store: Store, account: str, change: FolderChange, *paths: str) -> None:
        """Keep a change of these folders on disk until `finish`; call it before the server is asked to make it."""
        change.paths, kept = paths, Unfinished(paths=paths)
        change.stored = await store.commit(lambda tx: unfinished_changes.add(tx, account, kept))

    def finish(self, tx: Tx, change: FolderChange) -> None:
        """The result is stored with this commit."""
        if change.stored is not None:
            unfinished_changes.remove(tx, (change.stored,))

    def unseen(self, change: FolderChange) -> None:
        """The server does not list yet what it has made: what the next lists show of it is the request's."""
        self._doubtful.append(change)

    def doubtful(self, path: str, delimiter: str | None) -> bool:
        """Whether the observed appearance or loss of a folder counts as a request's."""
        near = delimiter or "/"
        return any(
            path == each or path.startswith(each + near) or each.startswith(path + near)
            for change in self._doubtful
            for each in change.paths
        )

    async def looked_into_all(self, store: Store, mark: tuple[int, int]) -> None:
        """A round of all folders has ended whose list was requested at this mark, and compared with what is known.

        A folder is gone only if a second list lacks it, too.
        """
        for each in self._doubtful:
            each.rounds += each.ended <= mark[1]
        over = [each for each in self._doubtful if each.rounds > 1]
        if over:
            numbers = [each.stored for each in over if each.stored is not None]
            await store.commit(lambda tx: unfinished_changes.remove(tx, numbers))
            self._doubtful = [each for each in self._doubtful if each not in over]

    @property
    def mark(self) -> tuple[int, int]:
        """The current position, for `none_since`."""
        return self._begun, self._ended

    def none_since(self, mark: tuple[int, int]) -> bool:
        """Whether no folder was being changed at that mark, and none has been changed since."""
        return mark == (self._begun, self._ended) and self._begun == self._ended
