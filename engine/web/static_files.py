"""The styles and scripts of the pages: named by their contents, so that browsers may keep them, and gzipped once.

`static/vendored.toml` lists what others wrote, with version, source, licence and hash.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from pathlib import Path

import msgspec
from quart import Response

from engine.errors import Problem

FOLDER = Path(__file__).parent / "static"
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_A_YEAR = "public, max-age=31536000, immutable"


class StaticFile(msgspec.Struct, frozen=True):
    """One file. `url_name` is its name with its hash inside."""

    url_name: str
    kind: str
    data: bytes
    zipped: bytes


@functools.cache
def files() -> dict[str, StaticFile]:
    """All files, by name."""
    found = {}
    for file in sorted(FOLDER.iterdir()):
        if file.suffix in _KINDS:
            data = file.read_bytes()
            url_name = f"{file.stem}.{hashlib.sha256(data).hexdigest()[:16]}{file.suffix}"
            found[file.name] = StaticFile(url_name, _KINDS[file.suffix], data, gzip.compress(data, 9, mtime=0))
    return found


@functools.cache
def _by_url_name() -> dict[str, StaticFile]:
    return {each.url_name: each for each in files().values()}


def answer(url_name: str, *, zipped: bool) -> Response:
    """The file with this name. Raises `Problem` 404."""
    found = _by_url_name().get(url_name)
    if found is None:
        raise Problem(404, "There is no such file")
    headers = {
        "Content-Type": found.kind,
        "Cache-Control": _A_YEAR,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Response(found.zipped if zipped else found.data, headers=headers)
