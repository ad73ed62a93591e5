"""`/admin/sandbox/{caught}`: one caught message as its reader sees it, its text, source, header and files.

The HTML has an answer of its own, which the page shows in a frame without rights: harmless by the engine's rules,
without pictures of the web, and under a policy that loads nothing, wherever it is opened.
"""

from __future__ import annotations

from quart import Response

from engine.api import sandbox as api
from engine.web.page import page
from engine.web.pages.sandbox import PATH
from engine.web.roles import Role
from engine.web.visit import Visit

TABS = ("html", "text", "source", "headers")
MOST_SHOWN = 40_000
"""Characters of a text or a source that the page shows; the rest is in the download."""
_FRAME = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox",
    "Content-Type": "text/html; charset=utf-8",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "SAMEORIGIN",
}
_BEFORE = (
    '<!doctype html><html><head><meta charset="utf-8"><base target="_blank"><title>Mail</title>'
    "<style>:root{color-scheme:light}body{margin:14px;background:#fff;color:#1c1d1f;font:15px/1.5 system-ui,sans-serif;"
    "overflow-wrap:anywhere}img{max-width:100%}</style></head><body>"
)


@page(PATH + "/{caught}", role=Role.READER, under="sandbox")
async def caught(visit: Visit, caught: str) -> Response:
    """The message, one of its tabs."""
    found = await visit.ask(api.read, caught)
    tab = visit.query.get("tab", "")
    if tab not in TABS:
        tab = "html" if found.has_html else "text"
    text = ""
    if tab == "text":
        text = found.plain
    elif tab == "source":
        source = await visit.ask(api.source, caught)
        text = (await source.get_data(as_text=False)).decode("utf-8", "replace")
    return visit.show(
        mail=found,
        tab=tab,
        tabs=[name for name in TABS if name != "html" or found.has_html],
        text=text[:MOST_SHOWN],
        is_cut=len(text) > MOST_SHOWN,
        headers=[(name, value) for name, values in found.headers.items() for value in values][:200],
    )


@page(PATH + "/{caught}/html", role=Role.READER, under="sandbox")
async def html(visit: Visit, caught: str) -> Response:
    """The HTML alone, for the frame."""
    found = await visit.ask(api.read, caught)
    return Response(f"{_BEFORE}{found.html}</body></html>", headers=_FRAME)


@page(PATH + "/{caught}/source", role=Role.READER, under="sandbox")
async def source(visit: Visit, caught: str) -> Response:
    """The source, to download."""
    return await visit.ask(api.source, caught)


@page(PATH + "/{caught}/files/{file}", role=Role.READER, under="sandbox")
async def file(visit: Visit, caught: str, file: str) -> Response:
    """A file, to download."""
    return await visit.ask(api.attachment, caught, file)
