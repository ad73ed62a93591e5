"""Sends files as answers: in pieces, in part if requested, and under a harmless name."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator
from typing import NamedTuple
from urllib.parse import quote

from quart import Response

from engine.errors import EngineError, Problem

log = logging.getLogger("engine.http")

_RANGE = re.compile(r"bytes=([0-9]{0,40})-([0-9]{0,40})", re.ASCII)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 _.()\[\]~=,+$-]{1,200}", re.ASCII)
_KIND = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_PARAMETER = re.compile(r"[A-Za-z0-9!#$&^_.+:-]{1,75}", re.ASCII)


class Span(NamedTuple):
    """Octets `first` to `end` (exclusive) of a file of `size` octets."""

    first: int
    end: int
    size: int


def span_of(asked: str | None, size: int | None) -> Span | None:
    """The octets that a `Range` requests (RFC 9110 section 14.2); None: send all.

    All are sent without a range, for several ranges, and if the size is unknown. Raises `Problem` 416 for a range
    outside the file.
    """
    match = _RANGE.fullmatch(asked.strip()) if asked is not None and size is not None else None
    if match is None or size is None or not (match[1] or match[2]):
        return None
    first = int(match[1]) if match[1] else max(size - int(match[2]), 0)
    end = min(int(match[2]) + 1, size) if match[1] and match[2] else size
    if match[1] and match[2] and int(match[2]) < first:
        return None
    if first >= size or first >= end:
        raise Problem(416, "There are no such octets", headers={"Content-Range": f"bytes */{size}"})
    return Span(first, end, size)


def download(
    pieces: AsyncGenerator[bytes],
    kind: str,
    name: str,
    *,
    size: int | None,
    span: Span | None = None,
    charset: str = "",
) -> Response:
    """An answer that passes on `pieces` as they arrive. `size` is their total in octets, None if unknown."""
    headers = {
        "Content-Type": _media_type(kind, charset),
        "Content-Disposition": _disposition(name),
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    if size is not None:
        headers["Accept-Ranges"] = "bytes"
        headers["Content-Length"] = str(size if span is None else span.end - span.first)
    if span is not None:
        headers["Content-Range"] = f"bytes {span.first}-{span.end - 1}/{span.size}"
    expected = None if size is None else size if span is None else span.end - span.first
    response = Response(_exactly(pieces, expected), 200 if span is None else 206, headers=headers)
    response.timeout = None
    return response


class Broken(Exception):
    """The file broke off: the connection must be aborted, so that the client does not take it for complete."""


async def _exactly(pieces: AsyncGenerator[bytes], expected: int | None) -> AsyncGenerator[bytes]:
    """The pieces, but no more octets than announced. Raises `Broken` if they end early."""
    left = expected
    try:
        async for piece in pieces:
            if left is not None and len(piece) > left:
                piece = piece[:left]
            if piece:
                yield piece
            left = None if left is None else left - len(piece)
            if left == 0:
                break
    except EngineError as error:
        log.info("a download ends early: %s", error)
        raise Broken(str(error)) from error
    finally:
        await pieces.aclose()
    if left:
        raise Broken("The server has fewer octets than it said")


def _media_type(kind: str, charset: str) -> str:
    kind = kind if _KIND.fullmatch(kind) else "application/octet-stream"
    return f"{kind}; charset={charset}" if kind.startswith("text/") and _PARAMETER.fullmatch(charset) else kind


def _disposition(name: str) -> str:
    """`attachment` with the file's name in ASCII and, if that is not exact, also in UTF-8 (RFC 6266)."""
    name = name.replace("\\", "/").rpartition("/")[2].strip()[:255]
    if not name:
        return "attachment"
    if _PLAIN_NAME.fullmatch(name):
        return f'attachment; filename="{name}"'
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=utf-8''{quote(name, safe='')}"
