"""Bytes as they arrive, of a request or from a mailbox: in memory, or in an unnamed file if they are many.

Thus many bodies can arrive slowly at once, while only the one being processed is in memory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

from engine.errors import StorageFull, StorageUnavailable
from engine.store.disk_reserve import NO_ROOM
from engine.world import World

IN_MEMORY = 1024**2
"""Bytes above which a body goes into a file."""


class ArrivingBody:
    """One body. Large ones go into `folder`; None: all stay in memory."""

    def __init__(self, folder: Path | None, world: World) -> None:
        self._folder = folder
        self._world = world
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self.size = 0

    @property
    def is_large(self) -> bool:
        """Whether it is in a file."""
        return self._file is not None

    async def add(self, chunk: bytes) -> None:
        """Take in what has arrived. Raises `StorageFull`, `StorageUnavailable`."""
        self.size += len(chunk)
        self._memory += chunk
        if self._folder is not None and len(self._memory) > IN_MEMORY:
            await self._world.in_thread(self._write)

    async def load(self) -> bytearray:
        """All of it, in memory; the file is gone then. Raises `StorageUnavailable`."""
        return self._memory if self._file is None else await self._world.in_thread(self._load)

    def close(self) -> None:
        """Drop what is left of it."""
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            self._file.write(self._memory)
        except OSError as error:
            kind = StorageFull if error.errno in NO_ROOM else StorageUnavailable
            raise kind(f"the request cannot be kept while it arrives: {error.strerror}") from error
        self._memory = bytearray()

    def _load(self) -> bytearray:
        assert self._file is not None
        tail = self._memory
        data = bytearray(self.size)
        view = memoryview(data)
        try:
            self._file.seek(0)
            at = 0
            while at < self.size - len(tail) and (count := self._file.readinto(view[at:])):  # type: ignore[attr-defined]
                at += count
        except OSError as error:
            raise StorageUnavailable(f"the request cannot be read back: {error.strerror}") from error
        finally:
            view.release()
        if at != self.size - len(tail):
            raise StorageUnavailable("the request cannot be read back: its file is cut off")
        data[at:] = tail
        self.close()
        return data
