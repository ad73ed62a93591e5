"""Message bodies: small ones in the journal, large ones as files in the spool, which several messages may share.

A spooled body is written and synced before the commit that names it, so a committed name always has its bytes. A file
that no row names was left by a crash; the next start removes it. A body is dropped once its message has ended and its
Sent copy, if there is to be one, has been filed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from engine.errors import EngineError, StorageFailed, StorageFull, StorageUnavailable
from engine.store import files
from engine.store.disk_reserve import NO_ROOM
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.store")

T = TypeVar("T")

BLOCK = 256 * 1024
DISK_FAILED = frozenset({errno.EIO, errno.EROFS})


class MessageBody(msgspec.Struct, frozen=True):
    """A composed message: header fields, the Bcc field (for the Sent copy only), and where the content is.

    The content is `content`, then the file `spool`; at least one of them is there.
    """

    header: bytes
    bcc_header: bytes
    content: bytes | None
    spool: str | None = None


class Spool:
    """The folder of bodies too large for the journal.

    With a `store`, writes are refused whenever the store has no room or is lost, and a failed sync stops the store too.
    """

    def __init__(self, folder: Path, store: Store | None = None, world: World | None = None) -> None:
        self._folder = folder
        self._store = store
        self._world = world or World()

    async def write(self, name: str, content: bytes) -> None:
        """Write and sync one file.

        Raises `StorageFull`, `StorageUnavailable` if the file cannot be created for any other reason, or
        `StorageFailed` if the disk fails, after which the store fails too. Cancelled: the next start removes the file.
        """
        self.must_have_room(len(content))
        await self._in_thread(self._write, name, content)

    async def share(self, name: str, others: Sequence[str]) -> None:
        """Give a file more names, each of which is removed separately. Raises like `write`."""
        await self._in_thread(self._share, name, others)

    async def start(self, name: str) -> SpoolFile:
        """A new file whose content comes in pieces. Raises like `write`."""
        self.must_have_room(0)
        return SpoolFile(self, name, await self._in_thread(self._created, name))

    def must_have_room(self, size: int) -> None:
        """Raise `StorageFull` or `StorageUnavailable` if `size` bytes would be refused."""
        if self._store is not None:
            self._store.must_be_in_place()
            if not self._store.has_room(size):
                raise StorageFull("there is no room left for the message body on the disk that holds the data folder")

    async def _in_thread(self, job: Callable[..., T], *arguments: Any) -> T:
        try:
            return await self._world.in_thread(job, *arguments)
        except StorageFailed as error:
            if self._store is not None:
                self._store.fail(error)
            raise

    def _write(self, name: str, content: bytes) -> None:
        out = self._created(name)
        self._append(name, out, content)
        self._finish(name, out)

    def _share(self, name: str, others: Sequence[str]) -> None:
        made: list[str] = []
        try:
            for other in others:
                os.link(self._folder / name, self._folder / other)
                made.append(other)
            self._sync_folder()
        except (OSError, StorageFailed) as error:
            for other in made:
                self.remove(other)
            if isinstance(error, OSError):
                raise _not_stored(error) from error
            raise

    def _created(self, name: str) -> IO[bytes]:
        try:
            return self._create(name)
        except OSError as error:
            # Remove nothing: an existing file of this name belongs to another message.
            raise _not_stored(error) from error

    def _append(self, name: str, out: IO[bytes], content: bytes) -> None:
        try:
            out.write(content)
            out.flush()
        except OSError as error:
            self._abandon(name, out)
            raise _not_stored(error) from error

    def _finish(self, name: str, out: IO[bytes]) -> None:
        try:
            with out:
                _sync(out.fileno())
            self._sync_folder()
        except OSError as error:
            self.remove(name)
            raise _not_stored(error) from error
        except StorageFailed:
            self.remove(name)
            raise

    def _abandon(self, name: str, out: IO[bytes]) -> None:
        with contextlib.suppress(OSError):
            out.close()
        self.remove(name)

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            _sync(folder)
        finally:
            os.close(folder)

    def _create(self, name: str) -> IO[bytes]:
        file = self._folder / name
        try:
            return open(file, "xb", opener=files.private)
        except FileNotFoundError:
            # Create the spool again, but never the data folder around it: that may have been moved.
            self._folder.mkdir(mode=files.FOLDER_MODE)
            files.sync(self._folder.parent)
            log.warning("%s was missing and has been created again", self._folder)
            return open(file, "xb", opener=files.private)

    def remove(self, name: str) -> None:
        """Delete one file if it exists; if that fails, leave it to the next start."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be deleted: %s", self._folder / name, error.strerror)

    def size(self, name: str) -> int:
        """The octets of the content. Raises `StorageUnavailable`."""
        try:
            return (self._folder / name).stat().st_size
        except OSError as error:
            raise _not_read(error) from error

    def blocks(self, name: str) -> Iterator[bytes]:
        """The content in blocks of 256 KiB, each read on demand. Raises `StorageUnavailable`."""
        try:
            with (self._folder / name).open("rb") as file:
                while block := file.read(BLOCK):
                    yield block
        except OSError as error:
            raise _not_read(error) from error

    def sweep(self, db: sqlite3.Connection) -> int:
        """Remove the files that no body names; return how many there were."""
        named = {name for (name,) in db.execute("SELECT spool FROM body WHERE spool IS NOT NULL")}
        with os.scandir(self._folder) as entries:
            strays = [each for each in entries if each.name not in named and not each.is_dir(follow_symlinks=False)]
        for stray in strays:
            self.remove(stray.name)
        return len(strays)


class SpoolFile:
    """A file of the spool while it is written. End it with `finish` or `discard`; after an error it is gone.

    Its methods raise like `Spool.write`. Cancelled: `discard` it; what a crash leaves, the next start removes.
    """

    def __init__(self, spool: Spool, name: str, out: IO[bytes]) -> None:
        self._spool = spool
        self._out = out
        self.name = name

    async def write(self, content: bytes) -> None:
        """Append `content`."""
        self._spool.must_have_room(len(content))
        await self._spool._in_thread(self._spool._append, self.name, self._out, content)

    async def finish(self) -> None:
        """Sync it; then a commit may name it."""
        await self._spool._in_thread(self._spool._finish, self.name, self._out)

    def discard(self) -> None:
        """Delete it, written or not."""
        self._spool._abandon(self.name, self._out)


def _sync(handle: int) -> None:
    """Like `os.fsync`; raises `StorageFailed` if written data may be lost, unless the disk is only full."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise StorageFailed(f"the message body could not be synced: {error.strerror}") from error


def _not_read(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"the message body cannot be read: {error.strerror}")


def _not_stored(error: OSError) -> EngineError:
    kinds = {**dict.fromkeys(DISK_FAILED, StorageFailed), **dict.fromkeys(NO_ROOM, StorageFull)}
    kind = kinds.get(error.errno or 0, StorageUnavailable)
    return kind(f"the message body could not be stored: {error.strerror}")


def insert(tx: Tx, found: Iterable[tuple[int, MessageBody]]) -> None:
    """Add the bodies of messages."""
    tx.executemany(
        "INSERT INTO body (message, header, bcc_header, content, spool) VALUES (?, ?, ?, ?, ?)",
        [(message, body.header, body.bcc_header, body.content, body.spool) for message, body in found],
    )


def get(db: sqlite3.Connection | Tx, message: int) -> MessageBody | None:
    """The body of a message; None once it has been dropped."""
    row = db.execute("SELECT header, bcc_header, content, spool FROM body WHERE message = ?", (message,)).fetchone()
    return MessageBody(*row) if row else None


def drop(tx: Tx, message: int, spool: Spool) -> None:
    """Drop a body that its message no longer needs; its file is deleted after the commit."""
    row = tx.execute("DELETE FROM body WHERE message = ? RETURNING spool", (message,)).fetchone()
    if row is not None and row[0] is not None:
        name = row[0]
        tx.after_commit(lambda: spool.remove(name))
