"""Where a test keeps its files when no disk is to be part of it.

Most of what a simulated day costs is waiting for the disk to sync. Nothing in it loses power, so its files may as well
lie in memory. Tests of the engine as a process, and those of what reaches the disk, keep theirs on one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")
_LEAST_FREE = 1024**3
"""Bytes. In a container it may be as small as 64 MiB, of which each engine reserves 16."""


def place() -> Path | None:
    """A folder in memory; None where there is none, or too little: the usual place for files that do not last."""
    try:
        return _MEMORY if shutil.disk_usage(_MEMORY).free >= _LEAST_FREE else None
    except OSError:
        return None


@contextmanager
def folder(prefix: str) -> Iterator[Path]:
    """A new folder there, removed at the end."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place(), ignore_cleanup_errors=True) as name:
        yield Path(name)
