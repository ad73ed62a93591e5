"""The only writer of the journal: gathers all waiting changes into one synced commit.

1. A change is a function of a `Tx`. `commit` and `admit` queue it and wait (`_hand_in`).
2. `run` takes at most `MAX_BATCH` changes, begins a transaction, and runs them in the order in which they came, each in
   a savepoint (`_apply`). So a change that reads before it writes is a compare-and-set, and one that raises undoes only
   itself.
3. COMMIT syncs the journal. Statements run on Trio's own thread (a few microseconds each, without a sync); only COMMIT,
   which waits for the disk, runs on the store's thread, so that the two never compete for the interpreter. Changes that
   arrive meanwhile share the next commit.
4. Only then does each caller get what its change returned: an answer is always on disk.

What can go wrong, and what happens then:

* **The disk is full.** `admit` is for new work, and is refused with `StorageFull`, as soon as room is low. `commit` is
  for what has happened or must end: it uses the reserve (`disk_reserve.py`), and then waits for room. So a change may
  run more than once, each time from the state before it, and must bear that.
* **Another process has locked the journal.** Everything waits; after `BUSY_REFUSED`, new work gets `StorageBusy`.
* **The journal is not where it was opened** (`journal_location.py`). New work gets `StorageUnavailable`; `commit` waits
  until the journal is back.
* **A commit fails for any other reason.** The store latches: every waiting and later change gets `StorageFailed`, and
  `run` raises it, so that the process ends and a restart recovers what was acknowledged. The write-ahead log is left as
  it is; the start copies it into the journal before it answers anyone (`database.py`).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import outcome
import trio

from engine.errors import EngineError, StorageBusy, StorageFailed, StorageFull, StorageUnavailable
from engine.store import database
from engine.store.disk_reserve import Reserve
from engine.store.journal_location import JournalLocation
from engine.world import StoreThread, World

T = TypeVar("T")
log = logging.getLogger("engine.store")

MAX_BATCH = 500
BUSY_WAIT = 0.005
BUSY_LOOK = 0.1
"""The same once it is known to take long."""
BUSY_SAID = 2.0
"""Seconds after which a lock of another process is logged."""
BUSY_REFUSED = 10.0
"""Seconds after which new work is refused for it."""
CLOSE_BUSY_WAIT = 2000
"""Milliseconds the last commit of all waits for a lock of another process."""

ROOM_CHECK = 1.0
"""Seconds between two looks for room while the disk is full."""

LOG_SHARE = 16
"""On a small file system the write-ahead log is checkpointed when it has grown to this part of it."""

LOG_TOO_LONG = 4
"""A log this many times longer than it should be is checkpointed by force, which shows what is wrong."""


class Tx:
    """One open transaction, as a change sees it."""

    def __init__(self, db: sqlite3.Connection, first_seq: int, last_seq: int) -> None:
        self.execute = db.execute
        self.executemany = db.executemany
        self.first_seq = first_seq
        self.last_seq = last_seq
        self._after: list[Callable[[], None]] = []

    def next_seq(self) -> int:
        """The number of the next event: one more than the last, without gaps."""
        self.last_seq += 1
        return self.last_seq

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have `call` run once this change is on disk, before anyone is told. It must be quick and must not raise."""
        self._after.append(call)

    def mark(self) -> tuple[int, int, int]:
        """Where to go back to if the change about to run fails."""
        return self.first_seq, self.last_seq, len(self._after)

    def back_to(self, mark: tuple[int, int, int]) -> None:
        """Forget what a failed change asked for."""
        self.first_seq, self.last_seq, after = mark
        del self._after[after:]

    def finish(self) -> None:
        """Run what was to run after the commit."""
        for call in self._after:
            call()


class _Waiting(Generic[T]):
    __slots__ = ("change", "done", "result", "takes_in")

    def __init__(self, change: Callable[[Tx], T], takes_in: bool) -> None:
        self.change = change
        self.takes_in = takes_in
        self.done = trio.Event()
        self.result: outcome.Outcome[T] | None = None

    def fail(self, error: BaseException) -> None:
        self.result = outcome.Error(error)
        self.done.set()


class Store:
    """The journal of one data folder. `run` is its service; `commit` and `admit` write; `reader` reads.

    The reader sees what is committed and nothing else.
    """

    def __init__(self, path: Path, world: World, reserve: int = 0) -> None:
        """Open the folder, with `reserve` bytes kept for a full disk.

        Raises `ConfigError`; the folder must have been prepared and locked.
        """
        self.path = path
        self._world = world
        self._reserve = Reserve(path, reserve)
        self._reserve.make_way()
        pages = max(16, min(database.LOG_PAGES, self._reserve.system_size // LOG_SHARE // database.PAGE))
        self._log_limit = pages * database.PAGE * LOG_TOO_LONG
        self._db, self.reader = database.open_for_engine(path, pages, self._log_limit)
        self._first_seq, self._last_seq = self.reader.execute(
            "SELECT (SELECT coalesce(min(seq), 1) FROM event), (SELECT coalesce(max(seq), 0) FROM event)"
        ).fetchone()
        self._place = JournalLocation(path)
        self._reserve.take()
        self._pending: list[_Waiting[Any]] = []
        self._wake = trio.Event()
        self._stuck = False
        self._locked_out = False
        self._next_check = 0.0
        self._failure: StorageFailed | None = None

    @property
    def last_seq(self) -> int:
        """The number of the last committed event, 0 before the first."""
        return int(self._last_seq)

    @property
    def first_seq(self) -> int:
        """The number of the oldest event that is kept, or of the first there will be."""
        return int(self._first_seq)

    @property
    def failed(self) -> bool:
        """Whether a write has failed: nothing is acknowledged any more and the process is about to end."""
        return self._failure is not None

    @property
    def locked_out(self) -> bool:
        """Whether another process has held a lock on the journal for so long that new work is refused."""
        return self._locked_out

    @property
    def lost(self) -> bool:
        """Whether the journal was moved, removed or replaced under the engine. Cheap."""
        return self._place.look()

    def must_be_in_place(self) -> None:
        """Raise `StorageUnavailable` when the journal is lost."""
        if self.lost:
            raise _lost()

    def has_room(self, size: int = 0) -> bool:
        """Whether new work of `size` bytes would be taken in now. Cheap."""
        return self._reserve.has_room(size)

    async def commit(self, change: Callable[[Tx], T]) -> T:
        """Run an essential `change` inside the next commit; return what it returned once that is synced to disk.

        Raises what `change` raised (then nothing of it is kept) or `StorageFailed`. On a full disk it takes of the
        reserve, then waits for room, as it waits while the journal is lost; `StorageFull` and `StorageUnavailable` are
        raised only when the store is stopped before that was over.
        Cancelled: the change is still made, only the answer is lost.
        """
        return await self._hand_in(_Waiting(change, takes_in=False))

    async def admit(self, change: Callable[[Tx], T]) -> T:
        """As `commit`, for a change that takes new work in.

        Raises, having kept nothing: `StorageFull` at low room, `StorageUnavailable` while the journal is lost,
        `StorageBusy` while another process has locked it for too long.
        """
        if self._locked_out:
            raise busy()
        if not self.failed:
            if self._place.lost:
                self.must_be_in_place()
            if not self.has_room():
                self.must_be_in_place()
                raise _full()
        return await self._hand_in(_Waiting(change, takes_in=True))

    def fail(self, error: StorageFailed) -> None:
        """Latch: something that a commit relies on did not reach the disk. Nobody is told yes from now on."""
        if self._failure is None:
            self._failure = error
            log.error("%s; the engine acknowledges no further changes", error)
        for each in self._pending:
            each.fail(self._failure)
        self._pending = []
        self._wake.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit what is handed in until cancelled; then commit what is left and close.

        Raises `StorageFailed` when the disk fails.
        """
        thread = self._world.store_thread()
        task_status.started()
        try:
            while True:
                await self._wait_for_work()
                self._wake = trio.Event()
                self._stuck = False
                while self._pending and not self._stuck:
                    batch, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
                    try:
                        await self._settle(thread, batch)
                    except trio.Cancelled:
                        self._roll_back()
                        self._pending[:0] = [each for each in batch if not each.done.is_set()]
                        raise
                await self._look_for_room(thread)
                if self._failure is not None:
                    raise self._failure
        finally:
            thread.close()
            self._close()

    async def _hand_in(self, waiting: _Waiting[T]) -> T:
        if self.failed:
            raise StorageFailed("the journal could not be written; the engine is stopping")
        self._pending.append(waiting)
        self._wake.set()
        await waiting.done.wait()
        assert waiting.result is not None
        return waiting.result.unwrap()

    async def _wait_for_work(self) -> None:
        """Return when a change waits, or at the next look for room while that is needed."""
        if self._stuck:
            await trio.sleep(ROOM_CHECK)
        elif self._reserve.whole:
            await self._wake.wait()
        else:
            with trio.move_on_after(ROOM_CHECK):
                await self._wake.wait()

    async def _settle(self, thread: StoreThread, batch: list[_Waiting[Any]]) -> None:
        """Commit `batch`. Where room runs out, refuse what takes new work in and do the rest with the reserve."""
        if self.lost:
            essential = _refuse_new_work(batch, _lost)
            self._stuck = bool(essential)
            self._pending[:0] = essential
            return
        if await self._commit(thread, batch):
            return
        essential = _refuse_new_work(batch, _full)
        if not essential:
            return
        if (self._reserve.release() or len(essential) < len(batch)) and await self._commit(thread, essential):
            return
        for done, waiting in enumerate(essential):
            # One at a time, as far as room goes; a batch of one has just been tried.
            if len(batch) == 1 or not await self._commit(thread, [waiting]):
                self._stuck = True
                self._pending[:0] = essential[done:]
                return

    async def _commit(self, thread: StoreThread, batch: list[_Waiting[Any]]) -> bool:
        """Make one commit of `batch` and answer; False when there is no room and nothing of it has happened."""
        await self._begin(batch)
        tx = self._apply(batch)
        if tx is None:
            return False
        if self._db.in_transaction:
            try:
                await thread.run(self._db.commit)
            except sqlite3.Error as error:
                self._roll_back()
                meaning = _storage_error(error)
                if isinstance(meaning, StorageFull):
                    return False
                for each in batch:
                    each.result = outcome.Error(meaning)
            else:
                self._first_seq, self._last_seq = tx.first_seq, tx.last_seq
                if self._failure is None:
                    tx.finish()
                if self.lost:
                    _refuse_new_work(batch, _lost_meanwhile)
        for each in batch:
            if isinstance(each.result, outcome.Error) and isinstance(each.result.error, StorageFailed):
                self._latch(batch, each.result.error)
        if self._failure is not None:
            self._latch(batch, self._failure)
        for each in batch:
            each.done.set()
        return True

    async def _begin(self, batch: list[_Waiting[Any]]) -> None:
        """Take SQLite's write lock; another process (`engine tokens`) may hold it for a moment.

        Where it is held for long, a backup tool's or a shell's perhaps, what takes new work in is refused.
        """
        since, said = trio.current_time(), False
        try:
            while not self._took_lock(batch):
                waited = trio.current_time() - since
                if waited >= BUSY_SAID and not said:
                    said = True
                    log.warning("another process has locked %s; waiting for it", self.path / database.FILE)
                if waited >= BUSY_REFUSED:
                    self._locked_out = True
                    batch[:] = _refuse_new_work(batch, busy)
                    self._pending = _refuse_new_work(self._pending, busy)
                await trio.sleep(BUSY_LOOK if said else BUSY_WAIT)
                if self._failure is not None:
                    self._latch(batch, self._failure)
        finally:
            self._locked_out = False
        if said:
            log.warning("the lock on the journal was released after %.0f seconds", trio.current_time() - since)

    def _took_lock(self, batch: list[_Waiting[Any]]) -> bool:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                self._latch(batch, error)
            return False
        return True

    def _apply(self, batch: list[_Waiting[Any]]) -> Tx | None:
        """Run the changes in the open transaction; None when room ran out, with the transaction undone."""
        tx = Tx(self._db, self._first_seq, self._last_seq)
        for waiting in batch:
            mark = tx.mark()
            self._db.execute("SAVEPOINT change")
            waiting.result = outcome.capture(waiting.change, tx)
            if isinstance(waiting.result, outcome.Error):
                error = _storage_error(waiting.result.error)
                if isinstance(error, StorageFull):
                    self._roll_back()
                    return None
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

    async def _look_for_room(self, thread: StoreThread) -> None:
        """While the disk is full, or the log far too long: move the log into the journal and take the reserve again."""
        if self._reserve.whole and not self._stuck and not self._log_is_too_long():
            return
        if trio.current_time() < self._next_check or self.lost:
            return
        self._next_check = trio.current_time() + ROOM_CHECK
        try:
            await thread.run(lambda: database.move_log(self._db))
        except sqlite3.Error as error:
            if isinstance(_storage_error(error), StorageFailed):
                self._latch([], error)
        await thread.run(self._reserve.take)
        self.has_room()

    def _log_is_too_long(self) -> bool:
        return database.log_size(self.path) > self._log_limit

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.rollback()

    def _latch(self, waiting: list[_Waiting[Any]], error: Exception) -> None:
        """Answer everyone with `StorageFailed` and raise it."""
        cause = error if error is not self._failure else None
        if self._failure is None:
            self.fail(StorageFailed(f"the journal could not be written: {error}"))
        assert self._failure is not None
        for each in waiting:
            each.fail(self._failure)
        raise self._failure from cause

    def _close(self) -> None:
        batch, self._pending = self._pending, []
        lost = self.lost
        if lost and batch:
            log.error("%d changes are lost with the journal", len(batch))
            for each in batch:
                each.fail(_lost())
            batch = []
        try:
            if batch and not self.failed and not self._last_commit(batch):
                essential = _refuse_new_work(batch, _full)
                if essential and not (self._reserve.release() and self._last_commit(essential)):
                    for each in essential:
                        each.fail(_full())
        except sqlite3.Error as error:
            for each in batch:
                each.fail(StorageFailed(f"the journal could not be written: {error}"))
        # Closed last, the writer would move the log into the journal and remove it. After a failed write that is left
        # to the start; and in place of a lost one there may be that of another journal.
        for connection in (self._db, self.reader) if self.failed or lost else (self.reader, self._db):
            connection.close()

    def _last_commit(self, batch: list[_Waiting[Any]]) -> bool:
        """As `_commit`, for the end: on this thread. Raises sqlite3.Error."""
        self._db.execute(f"PRAGMA busy_timeout={CLOSE_BUSY_WAIT}")
        self._db.execute("BEGIN IMMEDIATE")
        tx = self._apply(batch)
        if tx is None:
            return False
        try:
            if self._db.in_transaction:
                self._db.commit()
                tx.finish()
        except sqlite3.Error as error:
            self._roll_back()
            if isinstance(_storage_error(error), StorageFull):
                return False
            raise
        for each in batch:
            each.done.set()
        return True


def _refuse_new_work(batch: list[_Waiting[Any]], error: Callable[[], EngineError]) -> list[_Waiting[Any]]:
    """Answer what takes new work in with an `error` each; the others."""
    for each in batch:
        if each.takes_in:
            each.fail(error())
    return [each for each in batch if not each.takes_in]


def busy() -> StorageBusy:
    """What new work is told while another process holds the journal."""
    return StorageBusy("another process has locked the journal (a backup tool, a database shell?): come back later")


def _lost() -> StorageUnavailable:
    return StorageUnavailable("the data folder was moved, removed or replaced")


def _lost_meanwhile() -> StorageUnavailable:
    return StorageUnavailable(f"{_lost()}; this request may or may not have been carried out")


def _full() -> StorageFull:
    return StorageFull("there is no room left on the disk that holds the data folder")


def _storage_error(error: BaseException) -> BaseException:
    """What an SQLite error means for the store; any other error as it is."""
    code = getattr(error, "sqlite_errorcode", 0)
    # The log's index in shared memory is a file too; it has no room for its next part.
    if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return _full()
    if code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT):
        return StorageFailed(str(error))
    return error
