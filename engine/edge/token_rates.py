"""How often each token was used in its current window, for tokens with a rate limit.

A window begins with its first request and ends after its time, whatever comes in between. Counts are in memory, so a
restart begins new windows. One window per token is kept, at most `KEPT` in all; beyond that, ended windows are dropped
first, then the oldest.
"""

from __future__ import annotations

import math

import msgspec
import trio

from engine.model.token_restrictions import RateLimit

KEPT = 10_000


class Window(msgspec.Struct):
    """One window: when it ends, on Trio's clock, and how many requests it has let in."""

    ends: float
    used: int


class Counted(msgspec.Struct, frozen=True):
    """A request counted: how many the window still lets in, and the seconds until its end, at least 1.

    `let_in`: whether the limit let this one in.
    """

    let_in: bool
    limit: int
    remaining: int
    reset: int


class TokenRates:
    """The windows of all tokens, by hash."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def count(self, token: str, limit: RateLimit) -> Counted:
        """Count one request, unless the window is full."""
        now = trio.current_time()
        window = self._windows.get(token)
        if window is None or now >= window.ends:
            self._windows.pop(token, None)
            if len(self._windows) >= KEPT:
                self._make_room(now)
            window = self._windows[token] = Window(now + limit.time_window, 0)
        let_in = window.used < limit.max_requests
        window.used += let_in
        reset = max(1, math.ceil(window.ends - now))
        return Counted(let_in, limit.max_requests, limit.max_requests - window.used, reset)

    def _make_room(self, now: float) -> None:
        self._windows = {token: each for token, each in self._windows.items() if now < each.ends}
        if len(self._windows) >= KEPT:
            del self._windows[next(iter(self._windows))]
