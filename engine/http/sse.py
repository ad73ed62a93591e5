"""Server-sent events: a stream of frames as an answer.

It ends with the connection: a browser's EventSource comes back by itself, with the last id it saw, and goes on there.
A client that does not read is cut off by the server's write limit; until then it holds one page. A silent stream sends
a comment now and then, so that whoever stands between does not close it.
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
"""Seconds; proxies close what is silent for 50 or 60."""
RETRY = 1000
"""Milliseconds a browser waits before it comes back."""
GREETING = b": Mailbox Engine v%b\n\n" % VERSION.encode()
"""A comment that comes at once, so that the client knows that it is connected."""
STILL_HERE = b": still here\n\n"


def stream(share: SharedLimit, caller: Token, frames: AsyncGenerator[bytes, None]) -> Response:
    """The answer made of `frames`, counted as one of the caller's `share` while it lasts. Raises `Problem` 429, 503."""
    # Now, while it can still be refused, and not when its first frame is asked for: others may come in between.
    until_answered(request).enter_context(share.hold(caller.hash))
    response = Response(
        frames,
        headers={"Content-Type": MEDIA, "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )
    response.timeout = None
    return response
