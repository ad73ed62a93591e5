"""The files of exports: a series of gzip members, each on disk before it counts as written.

A member holds whole lines. Whatever follows the last recorded member is cut off before more is written, so a crash
leaves neither half a line nor a repeated one. The folder is the owner's alone. The files of all exports together have a
quota, and the disk keeps some room for mail: `OutOfRoom` says that either is exhausted.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import anyio

from engine.errors import EngineError
from engine.world import World

FOLDER = "exports"
SUFFIX = ".ndjson.gz"
PIECE = 256 * 1024
"""Octets that are compressed at once, and read at once of a file that is downloaded."""
GZIP = 31
"""What makes zlib write gzip."""


class OutOfRoom(EngineError):
    """There is no room for more of an export."""


class ExportFiles:
    """All files. `quota`: maximum octets of all together; `spare`: octets of the disk to leave free."""

    def __init__(self, folder: Path, quota: int, spare: int, world: World) -> None:
        self._folder = folder / FOLDER
        self._quota = quota
        self._spare = spare
        self._world = world

    def path(self, export: str) -> Path:
        """Where the file of an export is."""
        return self._folder / f"{export}{SUFFIX}"

    async def sweep(self, known: Callable[[], set[str]]) -> None:
        """Remove the files of exports that are not known."""
        files = await self._world.in_thread(self._files)
        # Queried afterwards, since an export is known before it has a file.
        exports = known()
        for file in files:
            if (export := file.name.removesuffix(SUFFIX)) not in exports:
                await self.remove(export)

    async def remove(self, export: str) -> None:
        """Remove one file if it exists."""
        await self._world.in_thread(self.path(export).unlink, True)

    async def refuse_unless_room(self) -> None:
        """Raise `OutOfRoom` if there is no room for more."""
        used, free = await self._world.in_thread(self._room)
        if used >= self._quota:
            raise OutOfRoom("The files of all exports have used up export.quota of the engine's configuration")
        if free < self._spare:
            raise OutOfRoom("The disk has less room than export.spare of the engine's configuration leaves free")

    async def open(self, export: str, good: int) -> ExportFile:
        """The file of an export, of which `good` octets are kept. Raises `OSError`."""
        await self._world.in_thread(self._prepare, export, good)
        return ExportFile(await anyio.open_file(self.path(export), "ab"), good, self._world)

    async def read(self, export: str, first: int, end: int) -> AsyncGenerator[bytes]:
        """The octets of a file from `first` on and before `end`. Raises `OSError`."""
        async with await anyio.open_file(self.path(export), "rb") as file:
            await file.seek(first)
            while first < end and (piece := await file.read(min(PIECE, end - first))):
                first += len(piece)
                yield piece

    def _room(self) -> tuple[int, int]:
        used = sum(file.stat().st_size for file in self._files())
        system = os.statvfs(self._folder if self._folder.is_dir() else self._folder.parent)
        return used, system.f_bavail * system.f_frsize

    def _files(self) -> list[Path]:
        return list(self._folder.glob(f"*{SUFFIX}")) if self._folder.is_dir() else []

    def _prepare(self, export: str, good: int) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self.path(export), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < good:
                raise OSError("The file of the export is shorter than it was")
            os.truncate(descriptor, good)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class ExportFile:
    """One file while it is written. `size`: octets that are on disk; `reached`: octets written so far."""

    def __init__(self, file: anyio.AsyncFile[bytes], size: int, world: World) -> None:
        self._file = file
        self._world = world
        self._member: zlib._Compress | None = None
        self._waiting = bytearray()
        self._inside = 0
        self.size = self.reached = size

    async def write(self, data: bytes) -> None:
        """Append to the current member. Raises `OSError`."""
        self._waiting += data
        self._inside += len(data)
        if len(self._waiting) >= PIECE:
            self.reached += await self._file.write(await self._world.in_thread(self._compressed, False))

    async def end_member(self) -> int:
        """Sync everything to disk; return the size of the file. Raises `OSError`."""
        if self._inside:
            await self._file.write(await self._world.in_thread(self._compressed, True))
            await self._file.flush()
            await self._world.in_thread(os.fsync, self._file.wrapped.fileno())
            self._inside = 0
            self.size = self.reached = await self._file.tell()
        return self.size

    async def aclose(self) -> None:
        """Close it, even if cancelled; an unfinished member is cut off at the next opening."""
        self._file.wrapped.close()

    def _compressed(self, last: bool) -> bytes:
        if self._member is None:
            self._member = zlib.compressobj(wbits=GZIP)
        made = self._member.compress(bytes(self._waiting))
        self._waiting.clear()
        if last:
            made += self._member.flush()
            self._member = None
        return made
