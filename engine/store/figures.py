"""Figures about the journal, read for the metrics over a connection of their own, outside Trio's thread.

Every query reads an index and nothing else: with 100,000 messages in the queue all of them take some milliseconds. The
spool has a file for each large body, whose sizes are added up.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.model.message_states import State
from engine.store import consumers, database, outbox
from engine.store.consumers import Consumer
from engine.store.outbox import Depth


class Figures(msgspec.Struct, frozen=True):
    """What the journal holds at one moment.

    `undecided` are messages in doubt that wait for a decision, `interrupted` those held because the engine kept ending.
    `oldest_held` is when the first held message was accepted. Sizes are in octets.
    """

    depths: dict[State, Depth]
    undecided: int
    interrupted: int
    oldest_held: float | None
    consumers: list[Consumer]
    journal: int
    log: int
    spool: int
    free: int

    @property
    def waiting(self) -> int:
        """How many messages are due and not being sent."""
        return sum(depth.due for state, depth in self.depths.items() if state is not State.SENDING)

    @property
    def delayed(self) -> int:
        """How many are neither due nor being sent."""
        return sum(depth.count - depth.due for state, depth in self.depths.items() if state is not State.SENDING)


def read(path: Path, now: float) -> Figures:
    """The figures of the journal in this folder; `now` is in seconds since 1970. Raises sqlite3.Error and OSError."""
    disk = os.statvfs(path)
    with contextlib.closing(database.open_reader(path)) as db, _one_moment(db):
        (undecided,) = db.execute(
            "SELECT count(*) FROM message INDEXED BY message_open_by_state "
            "WHERE ended IS NULL AND state = 'in_doubt' AND next_at IS NULL"
        ).fetchone()
        (interrupted,) = db.execute(
            "SELECT count(*) FROM message INDEXED BY message_interrupted WHERE state = 'held' AND interruptions >= 10"
        ).fetchone()
        oldest = db.execute(
            "SELECT created FROM message INDEXED BY message_held WHERE state = 'held' ORDER BY id LIMIT 1"
        ).fetchone()
        return Figures(
            depths=outbox.depths(db, now),
            undecided=undecided,
            interrupted=interrupted,
            oldest_held=oldest and oldest[0],
            consumers=consumers.every(db, None),
            journal=(path / database.FILE).stat().st_size,
            log=database.log_size(path),
            spool=_spool_size(path / "spool"),
            free=disk.f_bavail * disk.f_frsize,
        )


def _spool_size(folder: Path) -> int:
    """Octets of the bodies in the spool; one that several messages share counts once."""
    size = 0.0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as files:
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                stat = file.stat(follow_symlinks=False)
                size += stat.st_size / stat.st_nlink
    return round(size)


@contextlib.contextmanager
def _one_moment(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.rollback()
