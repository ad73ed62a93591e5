"""Exporting an account's mail, and downloading what came of it."""

from __future__ import annotations

from quart import Response, request

from engine.api.context import Context, find_account
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.file_answers import download as as_download
from engine.http.file_answers import span_of
from engine.http.operation import operation
from engine.isotime import iso
from engine.model.export import Export, ExportStatus, Wanted
from engine.schema.export import (
    ExportCreate,
    ExportCreated,
    ExportId,
    ExportInfo,
    ExportList,
    ExportProgress,
    ExportRemoved,
    ExportSummary,
)
from engine.schema.fields import AccountId
from engine.schema.paging import PageQuery
from engine.store import exports

_TAGS = ("Export",)
_ONE = "/v1/account/{account}/export/{exportId}"


@operation(
    "POST",
    "/v1/account/{account}/export",
    access=Access.PATH,
    scope="api",
    group="export",
    tags=_TAGS,
    change=Change("export.create", lambda path, answer: answer.export_id),
    errors={429: "Ten exports of the account are not finished yet (`TooMany`)."},
)
async def create(context: Context, account: AccountId, body: ExportCreate) -> ExportCreated:
    """Export messages.

    The engine writes the messages that arrived within a span of time to a file: gzipped JSON, one message per line,
    with the members of `GET …/message/{message}`. `exportCompleted` or `exportFailed` tells you when it ends. A restart
    of the engine or an unreachable mail server only delays it.
    """
    found = find_account(context, account)
    wanted = Wanted(
        folders=body.folders,
        start=body.start_date.timestamp(),
        end=body.end_date.timestamp(),
        plain=body.text_type in ("plain", "*"),
        html=body.text_type in ("html", "*"),
        most=body.max_bytes or None,
        attachments=body.include_attachments,
    )
    export = await carry_through(context.exports.start(found.id, wanted))
    return ExportCreated(export_id=export.id, status=export.status.value, created=iso(export.created))


@operation("GET", "/v1/account/{account}/exports", access=Access.PATH, scope="api", group="export", tags=_TAGS)
async def listing(context: Context, account: AccountId, query: PageQuery) -> ExportList:
    """List the exports of an account."""
    found = exports.of_account(context.store.reader, find_account(context, account).id)
    shown = tuple(
        ExportSummary(
            export_id=each.id, status=each.status.value, created=iso(each.created), expires_at=iso(each.expires)
        )
        for each in paging.cut(found, query)
    )
    return ExportList(**paging.numbers(len(found), query), exports=shown)


@operation("GET", _ONE, access=Access.PATH, scope="api", group="export", tags=_TAGS)
async def read(context: Context, account: AccountId, export_id: ExportId) -> ExportInfo:
    """Read an export.

    `progress` says how far it has come.
    """
    export = _find(context, account, export_id)
    progress = export.progress
    return ExportInfo(
        export_id=export.id,
        status=export.status.value,
        phase=progress.phase.value,
        folders=progress.folders or export.wanted.folders,
        start_date=iso(export.wanted.start),
        end_date=iso(export.wanted.end),
        is_encrypted=False,
        progress=ExportProgress(
            folders_scanned=progress.scanned,
            folders_total=len(progress.folders),
            messages_queued=progress.queued,
            messages_exported=progress.exported,
            messages_skipped=progress.skipped,
            bytes_written=progress.written,
        ),
        created=iso(export.created),
        expires_at=iso(export.expires),
        truncated=progress.truncated,
        error=progress.error,
    )


@operation(
    "GET",
    f"{_ONE}/download",
    access=Access.PATH,
    scope="api",
    group="export",
    tags=_TAGS,
    media="application/gzip",
    errors={
        404: "There is no such export, or its file is gone.",
        409: "The export has not ended yet, or has failed (`ExportNotReady`).",
        416: "`Content-Range` says how many there are.",
    },
)
async def download(context: Context, account: AccountId, export_id: ExportId) -> Response:
    """Download an export.

    A `Range` of bytes is answered with 206 and that part.
    """
    export = _find(context, account, export_id)
    if export.status is not ExportStatus.COMPLETED:
        raise Problem(409, f"The export is {export.status.value}", code="ExportNotReady")
    size = export.progress.written
    span = span_of(request.headers.get("Range"), size)
    try:
        await context.world.in_thread(context.exports.files.path(export.id).stat)
    except OSError as error:
        raise Problem(404, "The file of the export is gone", code="NotFound") from error
    pieces = context.exports.files.read(export.id, *((span.first, span.end) if span else (0, size)))
    return as_download(pieces, "application/gzip", f"{export.id}.ndjson.gz", size=size, span=span)


@operation(
    "DELETE",
    _ONE,
    access=Access.PATH,
    scope="api",
    group="export",
    tags=_TAGS,
    change=Change("export.remove", lambda path, answer: path["exportId"]),
)
async def remove(context: Context, account: AccountId, export_id: ExportId) -> ExportRemoved:
    """Remove an export.

    An export that is running ends without an event.
    """
    export = _find(context, account, export_id)
    await carry_through(context.exports.remove(export.id))
    return ExportRemoved()


def _find(context: Context, account: str, export: str) -> Export:
    """The export of this account. Raises `Problem` 404."""
    found = find_account(context, account)
    known = exports.get(context.store.reader, export)
    if known is None or known.account != found.id:
        raise Problem(404, "Export was not found", code="NotFound")
    return known
