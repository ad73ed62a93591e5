"""Exports: an account's mail of a span of time as a file, one message a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import SINGLE, Instant, MailboxPath, Request, Response, When
from engine.schema.paging import Page

Status = Literal["queued", "processing", "completed", "failed", "cancelled"]
ExportId = Annotated[str, Meta(min_length=1, description="The export's id.", examples=["exp_4b1d0c5f9a6e7d8c9b0a1f2e"])]
"""An export in a path."""
_ID = Annotated[str, Meta(description="The export's id.", examples=["exp_4b1d0c5f9a6e7d8c9b0a1f2e"])]
_STATUS = Annotated[Status, Meta(description="The state of the export. A cancelled export is removed.")]
_CREATED = Annotated[When, Meta(description="When it was requested.")]
_EXPIRES = Annotated[When, Meta(description="When it is removed with its file.")]


class ExportCreate(Request, frozen=True, kw_only=True):
    """What to export."""

    EXAMPLE = {"startDate": "2026-11-01T00:00:00.000Z", "endDate": "2026-12-01T00:00:00.000Z"}

    folders: Annotated[
        Annotated[tuple[MailboxPath, ...], SINGLE, Meta(max_length=1000)],
        Meta(
            description="The folders: paths, or special uses such as `\\Sent`. Absent or empty: all; at Gmail All "
            "Mail, Junk and Trash, which hold every message once.",
            examples=[["INBOX"]],
        ),
    ] = ()
    start_date: Annotated[Instant, Meta(description="Only messages that arrived at this time or later.")]
    end_date: Annotated[Instant, Meta(description="Only messages that arrived before this time.")]
    text_type: Annotated[Literal["plain", "html", "*"], Meta(description="The kind of text; `*`: both.")] = "*"
    max_bytes: Annotated[
        Annotated[int, Meta(ge=0, le=2**30)],
        Meta(description="The maximum length of each text, in characters. 0: no limit, up to 16 MiB per message."),
    ] = 5_242_880
    include_attachments: Annotated[
        bool, Meta(description="Whether to include the `content` of each attachment, in base64.")
    ] = False

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A span has a length."""
        start, end = get("start_date"), get("end_date")
        if isinstance(start, datetime) and isinstance(end, datetime) and start >= end:
            yield "endDate", 'must be greater than "startDate"'


class ExportCreated(Response, frozen=True, kw_only=True):
    """The export is on disk, and begins soon."""

    export_id: _ID
    status: _STATUS
    created: _CREATED


class ExportSummary(Response, frozen=True, kw_only=True):
    """One export in a list."""

    export_id: _ID
    status: _STATUS
    created: _CREATED
    expires_at: _EXPIRES


class ExportList(Page, frozen=True, kw_only=True):
    """One page of exports, newest first."""

    exports: Annotated[tuple[ExportSummary, ...], Meta(description="The exports on this page.")]


class ExportProgress(Response, frozen=True, kw_only=True):
    """The progress of an export."""

    folders_scanned: Annotated[int, Meta(description="The number of folders that are done.", examples=[1])]
    folders_total: Annotated[int, Meta(description="The number of all folders. 0: not counted yet.", examples=[5])]
    messages_queued: Annotated[int, Meta(description="The approximate number of messages in all.", examples=[120])]
    messages_exported: Annotated[int, Meta(description="The number of messages in the file.", examples=[100])]
    messages_skipped: Annotated[
        int, Meta(description="The number of messages that the mail server did not return.", examples=[0])
    ]
    bytes_written: Annotated[int, Meta(description="The size of the file in bytes.", examples=[52341])]


class ExportInfo(Response, frozen=True, kw_only=True):
    """One export."""

    EXAMPLE = {
        "exportId": "exp_4b1d0c5f9a6e7d8c9b0a1f2e",
        "status": "completed",
        "phase": "complete",
        "folders": ["INBOX"],
        "startDate": "2026-11-01T00:00:00.000Z",
        "endDate": "2026-12-01T00:00:00.000Z",
        "isEncrypted": False,
        "progress": {
            "foldersScanned": 1,
            "foldersTotal": 1,
            "messagesQueued": 120,
            "messagesExported": 120,
            "messagesSkipped": 0,
            "bytesWritten": 52341,
        },
        "created": "2026-12-01T09:00:00.000Z",
        "expiresAt": "2026-12-02T09:00:05.000Z",
        "truncated": False,
        "error": None,
    }

    export_id: _ID
    status: _STATUS
    phase: Annotated[Literal["indexing", "exporting", "complete"], Meta(description="What it does.")]
    folders: Annotated[tuple[str, ...], Meta(description="The folders; while `indexing`, those you named.")]
    start_date: Annotated[When, Meta(description="The beginning of the span.")]
    end_date: Annotated[When, Meta(description="Its end.")]
    is_encrypted: Annotated[
        bool, Meta(description="Always `false`: the file is not sealed, but only the engine's user can read it.")
    ]
    progress: Annotated[ExportProgress, Meta(description="Its progress.")]
    created: _CREATED
    expires_at: _EXPIRES
    truncated: Annotated[
        bool, Meta(description="`true`: there were more messages than `exportMaxMessages` or `exportMaxSize` allow.")
    ]
    error: Annotated[str | None, Meta(description="Why it failed. `null`: it has not.")]


class ExportRemoved(Response, frozen=True, kw_only=True):
    """The export is removed with its file; if it was at work, it has ended."""

    deleted: Annotated[bool, Meta(description="Always `true`.")] = True


class ExportCompleted(Response, frozen=True, kw_only=True):
    """`exportCompleted`: an export is ready to download."""

    export_id: _ID
    folders: Annotated[tuple[str, ...], Meta(description="The folders in it.", examples=[["INBOX"]])]
    start_date: Annotated[When, Meta(description="The beginning of its span.")]
    end_date: Annotated[When, Meta(description="The end of its span.")]
    messages_exported: Annotated[int, Meta(description="The number of messages in the file.", examples=[120])]
    messages_skipped: Annotated[
        int, Meta(description="The number of messages that the server did not return.", examples=[0])
    ]
    bytes_written: Annotated[int, Meta(description="The size of the file in bytes.", examples=[52341])]
    duration: Annotated[int, Meta(description="How long it took, in milliseconds.", examples=[5012])]
    expires_at: _EXPIRES


class ExportFailed(Response, frozen=True, kw_only=True):
    """`exportFailed`: an export failed, and its file is removed."""

    export_id: _ID
    error: Annotated[str, Meta(description="Why, in words.")]
    error_code: Annotated[str | UnsetType, Meta(description="Why, in one word.", examples=["MailboxNotFound"])] = UNSET
    phase: Annotated[Literal["indexing", "exporting", "complete"], Meta(description="What it was doing.")]
    messages_exported: Annotated[int, Meta(description="The number of messages written by then.", examples=[0])]
    messages_queued: Annotated[int, Meta(description="The number of messages in all.", examples=[0])]
