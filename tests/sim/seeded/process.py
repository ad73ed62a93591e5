"""One process of the engine, from its start to its end: in order, killed between any two steps, or failed by its disk.

A kill is what the operating system would leave: the folder as it is in that moment goes to the next process, every
connection closes, no request gets an answer. The cancelled rest of the killed engine writes into an abandoned folder.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Protocol

import trio
from answers import plain
from seeded_world import SeededWorld

from engine import app
from engine.api.context import Context
from engine.config import Config
from engine.errors import Problem, StorageFailed, StorageFull
from engine.store import database
from engine.world import Choose, StoreThread
from seeded.wire import Wire


class Unanswered(Exception):
    """The engine ended, or said that it does not know, before it answered: the caller knows nothing."""


class Surroundings(Protocol):
    """What a process is given by the world around it."""

    def now(self) -> float: ...
    async def dial(self, host: str, port: int, process: Process) -> Wire: ...
    def committed(self, process: Process) -> None: ...


class Process:
    """`live` runs it once. `fates` holds what is to become of the next commits: `kill` or `fail`, before or after."""

    def __init__(self, folder: Path, config: Config, around: Surroundings, dice: Random, successor: Path) -> None:
        self.folder = folder
        self.killed = False
        self.failed = False
        self.full = False
        self.fates: dict[int, str] = {}
        self.commits = 0
        self.up = trio.Event()
        self._config = config
        self._around = around
        self._dice = dice
        self._successor = successor
        self._wires: list[Wire] = []
        self._calls: set[trio.CancelScope] = set()
        self._idle = trio.Event()
        self._scope = trio.CancelScope()
        self._stop = trio.Event()
        self._leaving = False
        self._context: Context | None = None

    @property
    def answers(self) -> bool:
        """Whether it takes requests."""
        return self._context is not None and not (self.killed or self.failed or self._leaving)

    async def live(self) -> Path:
        """From start to end; the folder it leaves."""
        try:
            with self._scope, database.lock_folder(self.folder):
                async with trio.open_nursery() as nursery:
                    world = _World(self, self._around, self._dice)
                    run = partial(app.run, self._config, world, self._stop, http=False)
                    self._context = await nursery.start(run)
                    self.up.set()
        except* StorageFailed:
            if not self.failed:
                raise
        finally:
            self._context = None
            for wire in self._wires:
                wire.sever()
        return self._successor if self.killed else self.folder

    def kill(self) -> None:
        """End it between two steps."""
        if self.killed or self.failed:
            return
        self.killed = True
        self._successor.mkdir(mode=0o700)
        (self._successor / "spool").mkdir(mode=0o700)
        for name in (database.FILE, f"{database.FILE}-wal", "key"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, self._successor / name)
        for file in (self.folder / "spool").iterdir():
            shutil.copyfile(file, self._successor / "spool" / file.name)
        for wire in self._wires:
            wire.sever()
        for call in self._calls:
            call.cancel()
        self._scope.cancel()

    async def leave(self) -> None:
        """Stop it in order; requests that are being worked on are answered first."""
        self._leaving = True
        if self._calls:
            await self._idle.wait()
        self._stop.set()

    async def call(self, handler: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """One request. Raises `Unanswered`, and `Problem` as the handler does."""
        if not self.answers:
            raise Unanswered
        answer, scope = None, trio.CancelScope()
        self._calls.add(scope)
        try:
            with scope:
                answer = plain(await handler(self._context, *arguments))
        except (StorageFailed, StorageFull):
            raise Unanswered from None
        except Exception as error:
            if self.killed or (isinstance(error, Problem) and error.extra.get("code") == "Timeout"):
                raise Unanswered from None
            raise
        finally:
            self._calls.discard(scope)
            if self._leaving and not self._calls:
                self._idle.set()
        if self.killed or scope.cancelled_caught:
            raise Unanswered
        return answer

    async def dial(self, host: str, port: int) -> Wire:
        wire = await self._around.dial(host, port, self)
        self._wires = [wire, *self._wires[:50]]
        if self.killed:
            wire.sever()
        return wire

    async def commit(self, job: Callable[[], None]) -> None:
        """The store's thread."""
        with trio.CancelScope(shield=True):
            await trio.sleep(0.01 * self._dice.random())
        if getattr(job, "__name__", "") != "commit":
            job()
            return
        self.commits += 1
        fate = self.fates.pop(self.commits, "")
        if fate == "kill before":
            self.kill()
        elif fate == "fail before":
            self.failed = True
            raise _disk_error(sqlite3.SQLITE_IOERR)
        elif self.full:
            raise _disk_error(sqlite3.SQLITE_FULL)
        job()
        if not self.killed:
            self._around.committed(self)
        if fate == "kill after":
            self.kill()
        elif fate == "fail after":
            self.failed = True
            raise _disk_error(sqlite3.SQLITE_IOERR)


class _World(SeededWorld):
    """The world as one process sees it."""

    def __init__(self, process: Process, around: Surroundings, dice: Random) -> None:
        super().__init__(0)
        self.random = Random(dice.random())
        self._process = process
        self._around = around

    def now(self) -> float:
        return self._around.now()

    def store_thread(self) -> StoreThread:
        return _StoreThread(self._process)

    async def dial(self, host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
        return await self._process.dial(host, port)


class _StoreThread:
    def __init__(self, process: Process) -> None:
        self._process = process

    async def run(self, job: Callable[[], None]) -> None:
        await self._process.commit(job)

    def close(self) -> None:
        pass


def _disk_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error
