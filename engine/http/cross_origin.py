"""Lets web pages of other origins call the API (CORS; Fetch Standard, section 3.3), if `http.cors_origins` names them.

Every answer of the API says whether the page may read it, refusals and errors included. A preflight is answered before
it is routed, so that a page can read the 404 of a wrong path, too. Cookies are never allowed: the API knows callers by
their tokens alone. Pages for people are left out, since no other origin has business there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.config import Http

ANY = "*"
METHODS = "DELETE, GET, HEAD, POST, PUT"
HEADERS = (
    "Accept, Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, Range, X-EE-Timeout, "
    "X-Requested-With"
)
"""What a page may send besides the headers that need no permission."""
EXPOSED = (
    "Accept-Ranges, Allow, Content-Disposition, Content-Range, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, "
    "X-RateLimit-Reset, X-Request-Id"
)
"""What a page may read besides the headers that need no permission."""
_ALSO = frozenset({"/health", "/ready", "/openapi.json"})
_PREFIX = "/v1/"

Fields = Sequence[tuple[bytes, bytes]]
Send = Callable[[Any], Awaitable[None]]


class CrossOrigin:
    """The origins whose pages may call the API, and how long browsers remember that."""

    def __init__(self, config: Http) -> None:
        self.change(config)

    def change(self, config: Http) -> None:
        """Allow the origins of this configuration, and no others, from the next request on."""
        self._origins = frozenset(config.cors_origins)
        self._max_age = b"%d" % config.cors_max_age

    def concerns(self, scope: Any) -> bool:
        """Whether the answer to this request depends on its origin."""
        if not self._origins or scope["type"] != "http":
            return False
        path: str = scope["path"]
        return path.startswith(_PREFIX) or path in _ALSO

    async def answer_preflight(self, scope: Any, send: Send) -> bool:
        """Answer a preflight of an allowed origin; False for any other request."""
        names = {name for name, _ in scope["headers"]}
        allowed = self._allowed(scope)
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in names or not allowed:
            return False
        fields = [
            *allowed,
            *self._varies(),
            (b"access-control-allow-methods", METHODS.encode()),
            (b"access-control-allow-headers", HEADERS.encode()),
            (b"access-control-max-age", self._max_age),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True

    def marking(self, scope: Any, send: Send) -> Send:
        """`send` for an answer that says whether the page may read it."""
        fields = [*self._varies()]
        if allowed := self._allowed(scope):
            fields += [*allowed, (b"access-control-expose-headers", EXPOSED.encode())]

        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        return marked

    def _allowed(self, scope: Any) -> Fields:
        if ANY in self._origins:
            return ((b"access-control-allow-origin", b"*"),)
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if len(origins) == 1 and origins[0].decode("latin-1") in self._origins:
            return ((b"access-control-allow-origin", origins[0]),)
        return ()

    def _varies(self) -> Fields:
        """Tell caches that the answer depends on the origin."""
        return () if ANY in self._origins else ((b"vary", b"Origin"),)
