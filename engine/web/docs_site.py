"""`/docs/`: the documents of this version, for anyone who can reach the engine; they load nothing from elsewhere.

They need no token and no script, and reveal nothing about this installation. A proxy can hide them by refusing the
path.
"""

from __future__ import annotations

import gzip

import jinja2
from quart import Response

from engine.api.context import Context
from engine.errors import Problem
from engine.http.html_pages import Page, PageRequest
from engine.version import VERSION
from engine.web import documents
from engine.web.layout import asset, environment

PATH = "/docs/"
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Content-Type": "text/html; charset=utf-8",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


class DocsSite:
    """The pages. What they show is rendered in a thread, once."""

    def __init__(self, context: Context) -> None:
        self._world = context.world

    def pages(self) -> tuple[Page, ...]:
        """The pages and their paths."""
        return Page(PATH, self._index), Page(f"{PATH}<name>", self._document)

    async def _index(self, asked: PageRequest) -> Response:
        await self._world.in_thread(documents.pages)
        return _answer(asked, "docs_index.html", page=None)

    async def _document(self, asked: PageRequest) -> Response:
        """One document. Raises `Problem` 404."""
        name = asked.path["name"]
        if name in documents.FILES:
            data = (documents.FOLDER / name).read_bytes()
            return Response(data, headers={**_HEADERS, "Content-Type": "application/json"})
        page = (await self._world.in_thread(documents.pages)).get(name)
        if page is None:
            raise Problem(404, "There is no such document")
        return _answer(asked, "document.html", page=page)


def _answer(asked: PageRequest, template: str, *, page: documents.DocumentPage | None) -> Response:
    opened = page.part_of or page.name if page is not None else ""
    text: jinja2.Template = environment.get_template(template)
    data = text.render(
        style=asset(asked.pathname, "docs.css"),
        groups=list(documents.listed()),
        page=page,
        opened=opened,
        parts=documents.parts(opened),
        version=VERSION,
    ).encode()
    headers = dict(_HEADERS)
    if "gzip" in asked.headers.get("accept-encoding", ""):
        data, headers["Content-Encoding"] = gzip.compress(data, 6, mtime=0), "gzip"
    return Response(data, headers=headers)
