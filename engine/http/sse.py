"""Server-sent events: a stream of frames as an answer.

The stream ends with the connection. A browser's EventSource then reconnects with the last id that it saw, and continues
there. A client that does not read is disconnected by the server's write limit; until then it occupies one page. An idle
stream sends a comment every `KEEP_ALIVE` seconds, so that proxies do not close it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from quart import Response, request

from engine.http.request_lifetime import until_answered
from engine.http.shared_limits import SharedLimit
from engine.store.tokens import Token
from engine.version import VERSION

MEDIA = "text/event-stream"
KEEP_ALIVE = 25.0
"""Seconds between comments on an idle stream; proxies close one after 50 or 60 seconds of silence."""
RETRY = 1000
"""Milliseconds that a browser waits before it reconnects."""
GREETING = b": Mailbox Engine v%b\n\n" % VERSION.encode()
"""A comment sent at once, so that the client knows that it is connected."""
STILL_HERE = b": still here\n\n"


def stream(share: SharedLimit, caller: Token, frames: AsyncGenerator[bytes, None]) -> Response:
    """An answer that streams `frames`; it counts towards `share` while it lasts. Raises `Problem` 429, 503."""
    # Count it now, while it can still be refused: once the first frame is requested, other streams may have begun.
    until_answered(request).enter_context(share.hold(caller.hash))
    response = Response(
        frames,
        headers={"Content-Type": MEDIA, "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )
    response.timeout = None
    return response
