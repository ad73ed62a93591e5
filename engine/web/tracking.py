"""`/open.gif` and `/redirect`: the picture and the links of tracked mail, and the events that they raise.

Both work whatever happens to the event: a link leads to its signed target and nowhere else, even if the account is
gone, the disk is full, or the link was used a thousand times (`engine/web/visits.py`).
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote, urlsplit

import trio
from quart import Response

from engine.api.context import Context
from engine.errors import EngineError, Problem
from engine.host_names import ascii_name
from engine.http.client_address import known
from engine.http.html_pages import PageRequest
from engine.schema.recipient_events import Automated
from engine.store import accounts, attempts, blocklists, timeline
from engine.store.timeline import About
from engine.store.writer import Tx
from engine.web.automated import SOON, by_request
from engine.web.mail_links import ClickLink, OpenLink, opened
from engine.web.rendering import HEADERS
from engine.web.visits import Visits

log = logging.getLogger("engine.web")

PICTURE = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"  # 1 x 1, transparent
)
PATIENCE = 2.0
"""Seconds that a reader waits for the event to be on disk."""
_HEADERS = {**HEADERS, "Cache-Control": "no-store, no-cache, must-revalidate, max-age=0", "Pragma": "no-cache"}
_PRINTABLE = "".join(map(chr, range(33, 127)))


class TrackingPages:
    """The two pages of one engine."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._visits = Visits()

    async def open(self, asked: PageRequest) -> Response:
        """The picture. Raises `Problem` 403 for a link that is not ours."""
        link: OpenLink = opened(self._context.link_keys, *_signed(asked), "open")
        await self._tell(asked, "trackOpen", link, {})
        headers = {
            **_HEADERS,
            "Content-Type": "image/gif",
            "Content-Disposition": 'inline; filename="open.gif"',
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        return Response(PICTURE, headers=headers)

    async def click(self, asked: PageRequest) -> Response:
        """Redirect to the link's target. Raises `Problem` 403 for a link that is not ours."""
        link: ClickLink = opened(self._context.link_keys, *_signed(asked), "click")
        await self._tell(asked, "trackClick", link, {"url": link.url})
        headers = {**_HEADERS, "Location": location(link.url), "Content-Type": "text/plain; charset=utf-8"}
        return Response("", 302, headers=headers)

    async def _tell(self, asked: PageRequest, event: str, link: OpenLink | ClickLink, more: dict[str, Any]) -> None:
        used = (link.acc, link.msg, more.get("url", ""), trio.current_time())
        burst = self._visits.is_burst(*used)
        if not self._visits.may_tell(*used):
            return
        address, agent = known(asked.address), blocklists.short_agent(asked.headers.get("user-agent"))
        automated = by_request(asked.method, asked.headers, address) or self._by_time(link, burst=burst)
        data = {"messageId": link.msg, **more, "remoteAddress": address, "userAgent": agent}
        if automated is not None:
            data["automated"] = automated

        def change(tx: Tx) -> None:
            if accounts.exists(tx, link.acc):
                message = timeline.message_by_id(tx, link.acc, link.msg)
                about = None if message is None else About(message)
                self._context.streams.journal.append(tx, event, link.acc, data, about=about)

        try:
            with trio.move_on_after(PATIENCE):
                await self._context.store.admit(change)
        except EngineError as error:
            log.warning("%s is lost for account %s: %s", event, link.acc[:100], error)

    def _by_time(self, link: OpenLink | ClickLink, *, burst: bool) -> Automated | None:
        ended = attempts.last_end(self._context.store.reader, link.acc, link.msg)
        if ended is not None and self._context.world.now() - ended < SOON:
            return "soon"
        return "burst" if burst else None


def location(url: str) -> str:
    """A URL as a header holds it: what is not printable ASCII is encoded. Raises `Problem` 403 if it is not http(s)."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Problem(403, "This link leads nowhere")
        user, at, place = parts.netloc.rpartition("@")
        url = url.replace(parts.netloc, f"{user}{at}{ascii_name(place)}", 1)
    except (UnicodeError, ValueError):
        pass  # The browser may know better what this host is.
    return quote(url, safe=_PRINTABLE)


def _signed(asked: PageRequest) -> tuple[str, str]:
    return asked.query.get("data", ""), asked.query.get("sig", "")
