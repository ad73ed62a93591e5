"""The only writer of the journal: gathers all waiting changes into one synced commit.

1. A change is a function of a `Tx`. `commit` and `admit` queue it and wait (`_hand_in`).
2. `run` takes at most `MAX_BATCH` changes, begins a transaction, and runs them in the order in which they came, each in
   a savepoint (`_apply`). So a change that reads before it writes is a compare-and-set, and one that raises undoes only
   itself.
3. COMMIT syncs the journal. Statements run on Trio's own thread (a few microseconds each, without a sync); only COMMIT,
   which waits for the disk, runs on the store's thread, so that the two never compete for the interpreter. Changes that
   arrive in the meantime share the next commit.
4. Only then does each caller get what its change returned: every answer is already on disk.

What can go wrong, and what happens then:

* **The disk is full.** `admit` is for new work and raises `StorageFull` as soon as room is low. `commit` is for what
  has already happened or must end: it uses the reserve (`disk_reserve.py`), then waits for room. A change may therefore
  run more than once, each time from the same state, and must allow for that.
* **Another process has locked the journal.** Everything waits; after `BUSY_REFUSED`, new work gets `StorageBusy`.
* **The journal is not where it was opened** (`journal_location.py`). New work gets `StorageUnavailable`; `commit` waits
  until the journal is back.
* **A commit fails for any other reason.** The store latches: every waiting and later change gets `StorageFailed`, and
  `run` raises it, so that the process ends and a restart recovers what was acknowledged. The write-ahead log is left as
  it is; the next start copies it into the journal before it answers a request (`database.py`).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import outcome
import trio

from engine.counting import Histogram
from engine.errors import EngineError, StorageFailed, StorageFull
from engine.store import database
from engine.store.disk_reserve import Reserve
from engine.store.journal_location import JournalLocation
from engine.store.storage_errors import busy, full, lost, lost_meanwhile, storage_error
from engine.store.waiting_changes import Applying, Slices, WaitingChange, in_slices
from engine.world import StoreThread, World

T = TypeVar("T")
log = logging.getLogger("engine.store")

MAX_BATCH = 500
BUSY_WAIT = 0.005
BUSY_LOOK = 0.1
"""Seconds between two attempts at the lock, once `BUSY_SAID` has passed."""
BUSY_SAID = 2.0
"""Seconds after which another process's lock is logged."""
BUSY_REFUSED = 10.0
"""Seconds after which such a lock makes the store refuse new work."""
STALLED = 5.0
"""Seconds without progress after which the writer does not count as ready."""
CLOSE_BUSY_WAIT = 2000
"""Milliseconds for which the last commit before closing waits for another process's lock."""

ROOM_CHECK = 1.0
"""Seconds between two looks for room while the disk is full."""

COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of the histogram of commits."""

LOG_SHARE = 16
"""On a small file system the write-ahead log is checkpointed at 1/`LOG_SHARE` of its size."""

LOG_TOO_LONG = 4
"""A log this many times longer than that is checkpointed explicitly, which reveals any error."""


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
        """Run `call` once this change is on disk, before its caller resumes. It must be quick and must not raise."""
        self._after.append(call)

    def mark(self) -> tuple[int, int, int]:
        """The state to return to with `back_to` if the next change fails."""
        return self.first_seq, self.last_seq, len(self._after)

    def back_to(self, mark: tuple[int, int, int]) -> None:
        """Undo the numbers and calls of a failed change."""
        self.first_seq, self.last_seq, after = mark
        del self._after[after:]

    def finish(self) -> None:
        """Run the `after_commit` calls."""
        for call in self._after:
            call()


class Store:
    """The journal of one data folder. `run` is its service; `commit` and `admit` write; `reader` reads.

    The reader sees only committed changes.
    """

    def __init__(self, path: Path, world: World, reserve: int = 0) -> None:
        """Open the folder, with `reserve` bytes in reserve for a full disk.

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
        self._pending: list[WaitingChange[Any]] = []
        self._wake = trio.Event()
        self._stuck = False
        self._locked_out = False
        self._next_check = 0.0
        self._failure: StorageFailed | None = None
        self._moved: float | None = None
        self.commits = Histogram(COMMIT_SECONDS)
        """How long each COMMIT took, in seconds."""

    @property
    def last_seq(self) -> int:
        """The number of the last committed event; 0 before the first."""
        return int(self._last_seq)

    @property
    def first_seq(self) -> int:
        """The number of the oldest stored event, or of the next one if there are none."""
        return int(self._first_seq)

    @property
    def failed(self) -> bool:
        """Whether a write has failed: nothing more is acknowledged and the process is about to end."""
        return self._failure is not None

    @property
    def locked_out(self) -> bool:
        """Whether another process has held a lock on the journal for so long that new work is refused."""
        return self._locked_out

    @property
    def waits_for_room(self) -> bool:
        """Whether changes that must be written wait because the disk is full."""
        return self._stuck and not self.lost

    def stalled(self) -> float:
        """Seconds for which a commit has made no progress; 0.0 if none is under way.

        Waiting for room, for another process's lock or for a lost journal is no stall. Trio's clock.
        """
        return 0.0 if self._moved is None else trio.current_time() - self._moved

    @property
    def lost(self) -> bool:
        """Whether the journal was moved, removed or replaced under the engine. Cheap."""
        return self._place.look()

    def must_be_in_place(self) -> None:
        """Raise `StorageUnavailable` if the journal is lost."""
        if self.lost:
            raise lost()

    def has_room(self, size: int = 0) -> bool:
        """Whether new work of `size` bytes would be accepted now. Cheap."""
        return self._reserve.has_room(size)

    async def commit(self, change: Callable[[Tx], T]) -> T:
        """Run an essential `change` inside the next commit; return its result once that is synced to disk.

        Raises what `change` raised (and undoes it) or `StorageFailed`. On a full disk this uses the reserve, then waits
        for room; while the journal is lost it waits too. `StorageFull` and `StorageUnavailable` are raised only if the
        store stops during such a wait.
        Cancelled: the change is still made; only its result is lost.
        """
        return await self._hand_in(WaitingChange(change, takes_in=False))

    async def admit(self, change: Callable[[Tx], T]) -> T:
        """Like `commit`, for a change that accepts new work.

        Also raises, with nothing written: `StorageFull` if room is low, `StorageUnavailable` if the journal is lost,
        `StorageBusy` if another process has held its lock for `BUSY_REFUSED` seconds.
        """
        self._refuse_new_work()
        return await self._hand_in(WaitingChange(change, takes_in=True))

    async def admit_slices(self, change: Callable[[Tx], Slices[T]]) -> T:
        """Like `admit`, for a change that takes long: other tasks run whenever it yields, other changes do not."""
        self._refuse_new_work()
        return await self._hand_in(WaitingChange(change, takes_in=True, slices=True))

    def fail(self, error: StorageFailed) -> None:
        """Latch: something that a commit relies on did not reach the disk, so every change fails from now on."""
        if self._failure is None:
            self._failure = error
            log.error("%s; the engine acknowledges no further changes", error)
        for each in self._pending:
            each.fail(self._failure)
        self._pending = []
        self._wake.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit queued changes until cancelled; then commit the rest and close.

        Raises `StorageFailed` if the disk fails.
        """
        thread = self._world.store_thread()
        task_status.started()
        try:
            while True:
                await self._wait_for_work()
                self._wake = trio.Event()
                stuck = False
                while self._pending and not stuck:
                    batch, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
                    self._moved = trio.current_time()
                    try:
                        stuck = await self._settle(thread, batch)
                    except trio.Cancelled:
                        self._roll_back()
                        self._pending[:0] = [each for each in batch if not each.done.is_set()]
                        raise
                self._stuck, self._moved = stuck, None
                await self._look_for_room(thread)
                if self._failure is not None:
                    raise self._failure
        finally:
            thread.close()
            self._close()

    def _refuse_new_work(self) -> None:
        if self._locked_out:
            raise busy()
        if not self.failed:
            if self._place.lost:
                self.must_be_in_place()
            if not self.has_room():
                self.must_be_in_place()
                raise full()

    async def _hand_in(self, waiting: WaitingChange[T]) -> T:
        if self.failed:
            raise StorageFailed("the journal could not be written; the engine is stopping")
        self._pending.append(waiting)
        self._wake.set()
        await waiting.done.wait()
        assert waiting.result is not None
        return waiting.result.unwrap()

    async def _wait_for_work(self) -> None:
        """Return when a change waits, or when it is time to check for room."""
        if self._stuck:
            await trio.sleep(ROOM_CHECK)
        elif self._reserve.whole:
            await self._wake.wait()
        else:
            with trio.move_on_after(ROOM_CHECK):
                await self._wake.wait()

    async def _settle(self, thread: StoreThread, batch: list[WaitingChange[Any]]) -> bool:
        """Commit `batch`. If room runs out, refuse its new work and commit the rest with the reserve.

        Returns whether some of it has to wait for room.
        """
        if self.lost:
            essential = _refuse_new_work(batch, lost)
            self._pending[:0] = essential
            return bool(essential)
        if await self._commit(thread, batch):
            return False
        essential = _refuse_new_work(batch, full)
        if not essential:
            return False
        if (self._reserve.release() or len(essential) < len(batch)) and await self._commit(thread, essential):
            return False
        for done, waiting in enumerate(essential):
            # One at a time, as far as room allows; a batch of one has just failed.
            if len(batch) == 1 or not await self._commit(thread, [waiting]):
                self._pending[:0] = essential[done:]
                return True
        return False

    async def _commit(self, thread: StoreThread, batch: list[WaitingChange[Any]]) -> bool:
        """Commit `batch` at once and answer its callers; False, with nothing changed, if there is no room."""
        await self._begin(batch)
        applying = Applying(self._apply(batch))
        for _ in applying:
            await trio.lowlevel.checkpoint()
        tx = applying.tx
        if tx is None:
            return False
        if self._db.in_transaction:
            began = trio.current_time()
            try:
                await thread.run(self._db.commit)
            except sqlite3.Error as error:
                self._roll_back()
                meaning = storage_error(error)
                if isinstance(meaning, StorageFull):
                    return False
                for each in batch:
                    each.result = outcome.Error(meaning)
            else:
                self.commits.note(trio.current_time() - began)
                self._first_seq, self._last_seq = tx.first_seq, tx.last_seq
                if self._failure is None:
                    tx.finish()
                if self.lost:
                    _refuse_new_work(batch, lost_meanwhile)
        for each in batch:
            if isinstance(each.result, outcome.Error) and isinstance(each.result.error, StorageFailed):
                self._latch(batch, each.result.error)
        if self._failure is not None:
            self._latch(batch, self._failure)
        for each in batch:
            each.done.set()
        return True

    async def _begin(self, batch: list[WaitingChange[Any]]) -> None:
        """Take SQLite's write lock; another process (`engine tokens`) may hold it briefly.

        If it is held for long, perhaps by a backup tool or a database shell, new work is refused.
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
                self._moved = trio.current_time()
                if self._failure is not None:
                    self._latch(batch, self._failure)
        finally:
            self._locked_out = False
        if said:
            log.warning("the lock on the journal was released after %.0f seconds", trio.current_time() - since)

    def _took_lock(self, batch: list[WaitingChange[Any]]) -> bool:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                self._latch(batch, error)
            return False
        return True

    def _apply(self, batch: list[WaitingChange[Any]]) -> Generator[None, None, Tx | None]:
        """Run the changes in the open transaction; None, with the transaction rolled back, if room runs out.

        Yields when other tasks should run.
        """
        tx = Tx(self._db, self._first_seq, self._last_seq)
        for waiting in batch:
            mark = tx.mark()
            self._db.execute("SAVEPOINT change")
            waiting.result = (
                (yield from in_slices(waiting.change(tx))) if waiting.slices else outcome.capture(waiting.change, tx)
            )
            if isinstance(waiting.result, outcome.Error):
                error = storage_error(waiting.result.error)
                if isinstance(error, StorageFull):
                    self._roll_back()
                    return None
                waiting.result = outcome.Error(error)
                if not self._db.in_transaction:
                    # SQLite rolled back the whole transaction: no change of the batch took effect.
                    for each in batch:
                        each.result = waiting.result
                    break
                self._db.execute("ROLLBACK TO change")
                tx.back_to(mark)
            self._db.execute("RELEASE change")
        return tx

    async def _look_for_room(self, thread: StoreThread) -> None:
        """If the disk is full or the log far too long, checkpoint the log and allocate the reserve again."""
        if self._reserve.whole and not self._stuck and not self._log_is_too_long():
            return
        if trio.current_time() < self._next_check or self.lost:
            return
        self._next_check = trio.current_time() + ROOM_CHECK
        try:
            await thread.run(lambda: database.move_log(self._db))
        except sqlite3.Error as error:
            if isinstance(storage_error(error), StorageFailed):
                self._latch([], error)
        await thread.run(self._reserve.take)
        self.has_room()

    def _log_is_too_long(self) -> bool:
        return database.log_size(self.path) > self._log_limit

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.rollback()

    def _latch(self, waiting: list[WaitingChange[Any]], error: Exception) -> None:
        """Answer every waiting change with `StorageFailed` and raise it."""
        cause = error if error is not self._failure else None
        if self._failure is None:
            self.fail(StorageFailed(f"the journal could not be written: {error}"))
        assert self._failure is not None
        for each in waiting:
            each.fail(self._failure)
        raise self._failure from cause

    def _close(self) -> None:
        batch, self._pending = self._pending, []
        is_lost = self.lost
        if is_lost and batch:
            log.error("%d changes are lost with the journal", len(batch))
            for each in batch:
                each.fail(lost())
            batch = []
        try:
            if batch and not self.failed and not self._last_commit(batch):
                essential = _refuse_new_work(batch, full)
                if essential and not (self._reserve.release() and self._last_commit(essential)):
                    for each in essential:
                        each.fail(full())
        except sqlite3.Error as error:
            for each in batch:
                each.fail(StorageFailed(f"the journal could not be written: {error}"))
        # If it were closed last, the writer would checkpoint the log and delete it. After a failed write that is left
        # to the next start; and the files at a lost journal's path may belong to another journal.
        for connection in (self._db, self.reader) if self.failed or is_lost else (self.reader, self._db):
            connection.close()

    def _last_commit(self, batch: list[WaitingChange[Any]]) -> bool:
        """Like `_commit`, but on this thread, when closing. Raises sqlite3.Error."""
        self._db.execute(f"PRAGMA busy_timeout={CLOSE_BUSY_WAIT}")
        self._db.execute("BEGIN IMMEDIATE")
        applying = Applying(self._apply(batch))
        for _ in applying:
            pass
        tx = applying.tx
        if tx is None:
            return False
        try:
            if self._db.in_transaction:
                self._db.commit()
                tx.finish()
        except sqlite3.Error as error:
            self._roll_back()
            if isinstance(storage_error(error), StorageFull):
                return False
            raise
        for each in batch:
            each.done.set()
        return True


def _refuse_new_work(batch: list[WaitingChange[Any]], error: Callable[[], EngineError]) -> list[WaitingChange[Any]]:
    """Fail the new work in `batch`, each with its own `error()`; return the rest."""
    for each in batch:
        if each.takes_in:
            each.fail(error())
    return [each for each in batch if not each.takes_in]
