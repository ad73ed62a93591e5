"""A store whose disk waits and fails as a test says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import trio
from seeded_world import SeededWorld

from engine.store.writer import Store, Tx


class Disk:
    """The store's thread with a disk that can be told to wait or to fail."""

    def __init__(self) -> None:
        self.commits = 0
        self.goes_on = trio.Event()
        self.goes_on.set()
        self.errors: list[sqlite3.Error | None] = []

    async def run(self, job: Callable[[], None]) -> None:
        with trio.CancelScope(shield=True):
            await self.goes_on.wait()
        if job.__name__ != "commit":
            return job()
        self.commits += 1
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        return job()

    def close(self) -> None:
        pass


class DiskWorld(SeededWorld):
    def __init__(self) -> None:
        super().__init__(1)
        self.disk = Disk()

    def store_thread(self) -> Disk:
        return self.disk


def sqlite_error(code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def put(name: str) -> Callable[[Tx], str]:
    def change(tx: Tx) -> str:
        tx.execute("INSERT INTO setting (name, value) VALUES (?, '1')", (name,))
        return name

    return change


def event(tx: Tx) -> int:
    seq = tx.next_seq()
    tx.execute("INSERT INTO event (seq, account, name, body) VALUES (?, 'a', 'n', '{}')", (seq,))
    return seq


def names(store: Store) -> list[str]:
    return [name for (name,) in store.reader.execute("SELECT name FROM setting ORDER BY name")]
