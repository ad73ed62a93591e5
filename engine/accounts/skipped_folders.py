"""The folders of an account that cannot be looked into, and when each is attempted again.

A folder that cannot be opened, ends the connection or gets no answer is skipped for a minute, then for longer each
time, at most six hours, until a look at it succeeds. The others are not affected. This is held in memory; a reconnect
requested by the user starts over.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import trio

from engine.isotime import iso
from engine.schema.account_condition import FolderError
from engine.world import World

FIRST_WAIT = 60.0
LONGEST_WAIT = 6 * 3600.0
GROWTH = 4
JITTER = 0.2
PATIENCE = 20.0
"""Seconds that the server has for its first answer about a folder; doubled after each failure."""
LONGEST_PATIENCE = 160.0


class _Trouble(msgspec.Struct):
    error: str
    since: float
    """In seconds since 1970."""
    failures: int
    due: float
    """By Trio's clock."""


class SkippedFolders:
    """The failing folders of one account, by path."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._of: dict[str, _Trouble] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._of)

    def skips(self, path: str) -> bool:
        """Whether a folder is to be skipped for now."""
        trouble = self._of.get(path)
        return trouble is not None and trio.current_time() < trouble.due

    def patience(self, path: str) -> float:
        """Seconds to wait for a folder's first answer."""
        trouble = self._of.get(path)
        return min(PATIENCE * float(2 ** (trouble.failures if trouble else 0)), LONGEST_PATIENCE)

    def failed(self, path: str, error: str) -> bool:
        """Note a failed look; return whether the folder had been well before."""
        before = self._of.get(path)
        failures = before.failures + 1 if before else 1
        wait = min(FIRST_WAIT * GROWTH ** min(failures - 1, 9), LONGEST_WAIT)
        due = trio.current_time() + wait * (1 + JITTER * self._world.random.random())
        since = before.since if before else self._world.now()
        self._of[path] = _Trouble(error, since, failures, due)
        return before is None

    def well(self, path: str) -> bool:
        """Note a successful look; return whether the folder had been failing before."""
        return self._of.pop(path, None) is not None

    def keep(self, paths: Collection[str]) -> None:
        """Drop the failures of all other folders."""
        self._of = {path: trouble for path, trouble in self._of.items() if path in paths}

    @property
    def seconds_to_next(self) -> float:
        """Seconds until a folder is to be attempted again; infinite if there is none."""
        due = min((each.due for each in self._of.values()), default=float("inf"))
        return max(0.0, due - trio.current_time())

    def shown(self) -> tuple[FolderError, ...]:
        """The form in which the account shows them."""
        away = self._world.now() - trio.current_time()
        return tuple(
            FolderError(path=path, error=each.error, since=iso(each.since), next_look=iso(each.due + away))
            for path, each in sorted(self._of.items())
        )
