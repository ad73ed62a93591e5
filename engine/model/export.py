"""An export as it is stored: what was requested, and how far it has come. *pure*"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ExportStatus(StrEnum):
    """Where an export stands. One that was cancelled is removed at once."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


OPEN = (ExportStatus.QUEUED, ExportStatus.PROCESSING)


class Phase(StrEnum):
    """What an export does: it counts first, so that its progress means something, then it writes."""

    INDEXING = "indexing"
    EXPORTING = "exporting"
    COMPLETE = "complete"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was requested. Times in seconds since 1970, `end` excluded; `folders` empty: all.

    `most`: characters of each text, None for all.
    """

    folders: tuple[str, ...]
    start: float
    end: float
    plain: bool
    html: bool
    most: int | None
    attachments: bool


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it has come.

    `folders` are paths, `place` the number of the one at work, `validity` its UIDVALIDITY and `uid` the last message
    done with in it. `written` octets of the file are good. `began`, `ended`: seconds since 1970.
    """

    phase: Phase = Phase.INDEXING
    folders: tuple[str, ...] = ()
    place: int = 0
    validity: int | None = None
    uid: int = 0
    scanned: int = 0
    queued: int = 0
    exported: int = 0
    skipped: int = 0
    written: int = 0
    truncated: bool = False
    began: float | None = None
    ended: float | None = None
    error: str | None = None
    error_code: str | None = None


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One export. `expires`: when it is removed with its file, seconds since 1970."""

    id: str
    account: str
    status: ExportStatus
    wanted: Wanted
    progress: Progress
    created: float
    expires: float
