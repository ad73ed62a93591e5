"""The only writer: gathers every waiting change into one synced commit.

A change is a function of a `Tx`. Changes run one after another in the order they were handed in, so a change that looks
before it writes is a compare-and-set. All changes that arrive while one commit is being synced share the next one; what
each returned is given back only after the sync, so whoever has an answer has it from the disk.

Statements run on Trio's own thread (a few microseconds each, no sync among them) and only COMMIT, which waits for the
disk, runs on the store's thread: the two threads never fight for the interpreter.

When a commit fails, nobody is told yes: the store latches, every waiting and later change gets `StorageFailed`, and
`run` raises it so that the process ends and a restart recovers what was acknowledged. Room running out is not such a
failure: the changes in that commit get `StorageFull` and the store goes on.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import outcome
import trio

from engine.errors import StorageFailed, StorageFull
from engine.store import database
from engine.world import StoreThread, World

T = TypeVar("T")
log = logging.getLogger("engine.store")

MAX_BATCH = 500
BUSY_WAIT = 0.005
CLOSE_BUSY_WAIT = 2000
"""Milliseconds the last commit of all waits for a lock of another process."""


class Tx:
    """One open transaction, as a change sees it."""

    def __init__(self, db: sqlite3.Connection, last_seq: int) -> None:
        self.execute = db.execute
        self.executemany = db.executemany
        self.last_seq = last_seq
        self._after: list[Callable[[], None]] = []

    def next_seq(self) -> int:
        """The number of the next event: one more than the last, without gaps."""
        self.last_seq += 1
        return self.last_seq

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have `call` run once this change is on disk, before anyone is told. It must be quick and must not raise."""
        self._after.append(call)

    def mark(self) -> tuple[int, int]:
        """Where to go back to if the change about to run fails."""
        return self.last_seq, len(self._after)

    def back_to(self, mark: tuple[int, int]) -> None:
        """Forget what a failed change asked for."""
        self.last_seq = mark[0]
        del self._after[mark[1] :]

    def finish(self) -> None:
        """Run what was to run after the commit."""
        for call in self._after:
            call()


class _Waiting(Generic[T]):
    __slots__ = ("change", "done", "result")

    def __init__(self, change: Callable[[Tx], T]) -> None:
        self.change = change
        self.done = trio.Event()
        self.result: outcome.Outcome[T] | None = None


class Store:
    """The journal of one data folder. `run` is its service; `commit` writes; `reader` reads what is committed."""

    def __init__(self, path: Path, world: World) -> None:
        """Open the folder. Raises `ConfigError`; the folder must have been prepared and locked."""
        self.path = path
        self._world = world
        self._db = database.open_writer(path)
        # A lock of another process is waited for in `_begin`, where the other tasks can go on.
        self._db.execute("PRAGMA busy_timeout=0")
        self.reader = database.open_reader(path)
        (self._last_seq,) = self.reader.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
        self._pending: list[_Waiting[Any]] = []
        self._wake = trio.Event()
        self.failed = False

    @property
    def last_seq(self) -> int:
        """The number of the last committed event, 0 before the first."""
        return int(self._last_seq)

    async def commit(self, change: Callable[[Tx], T]) -> T:
        """Run `change` inside the next commit; return what it returned once that is synced to disk.

        Raises what `change` raised (then nothing of it is kept), `StorageFull` or `StorageFailed`.
        Cancelled: the change is still made, only the answer is lost.
        """
        if self.failed:
            raise StorageFailed("the journal could not be written; the engine is stopping")
        waiting = _Waiting(change)
        self._pending.append(waiting)
        self._wake.set()
        await waiting.done.wait()
        assert waiting.result is not None
        return waiting.result.unwrap()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit what is handed in until cancelled; then commit what is left and close.

        Raises `StorageFailed` when the disk fails.
        """
        thread = self._world.store_thread()
        task_status.started()
        try:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                while self._pending:
                    await self._begin()
                    batch, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
                    tx = self._apply(batch)
                    await self._sync(thread, batch, tx)
        finally:
            thread.close()
            self._close()

    async def _begin(self) -> None:
        """Take SQLite's write lock; another process (`engine tokens`) may hold it for a moment."""
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    self._latch(self._pending, error)
            await trio.sleep(BUSY_WAIT)

    def _apply(self, batch: list[_Waiting[Any]]) -> Tx:
        tx = Tx(self._db, self._last_seq)
        for waiting in batch:
            mark = tx.mark()
            self._db.execute("SAVEPOINT change")
            waiting.result = outcome.capture(waiting.change, tx)
            if isinstance(waiting.result, outcome.Error):
                error = _storage_error(waiting.result.error)
                waiting.result = outcome.Error(error)
                if not self._db.in_transaction:
                    # SQLite gave up the whole transaction: nothing in the batch happened.
                    for each in batch:
                        each.result = waiting.result
                    break
                self._db.execute("ROLLBACK TO change")
                tx.back_to(mark)
            self._db.execute("RELEASE change")
        return tx

    async def _sync(self, thread: StoreThread, batch: list[_Waiting[Any]], tx: Tx) -> None:
        if self._db.in_transaction:
            try:
                await thread.run(self._db.commit)
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.rollback()
                for each in batch:
                    each.result = outcome.Error(_storage_error(error))
            else:
                self._last_seq = tx.last_seq
                tx.finish()
        for each in batch:
            if isinstance(each.result, outcome.Error) and isinstance(each.result.error, StorageFailed):
                self._latch([*batch, *self._pending], each.result.error)
        for each in batch:
            each.done.set()

    def _latch(self, waiting: list[_Waiting[Any]], error: Exception) -> None:
        self.failed = True
        failure = StorageFailed(f"the journal could not be written: {error}")
        for each in waiting:
            each.result = outcome.Error(failure)
            each.done.set()
        self._pending = []
        log.error("%s; no change is acknowledged any more", failure)
        raise failure from error

    def _close(self) -> None:
        if self._pending and not self.failed:
            batch, self._pending = self._pending, []
            try:
                self._db.execute(f"PRAGMA busy_timeout={CLOSE_BUSY_WAIT}")
                self._db.execute("BEGIN IMMEDIATE")
                tx = self._apply(batch)
                if self._db.in_transaction:
                    self._db.commit()
                    tx.finish()
            except sqlite3.Error as error:
                failure = StorageFailed(f"the journal could not be written: {error}")
                for each in batch:
                    each.result = outcome.Error(failure)
            for each in batch:
                each.done.set()
        self.reader.close()
        self._db.close()


def _storage_error(error: BaseException) -> BaseException:
    """What an SQLite error means for the store; any other error as it is."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StorageFull("there is no room left on the disk that holds the data folder")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT):
        return StorageFailed(str(error))
    return error
