"""How fast one account may send: the limit set for it, and what its provider allows. Pure.

A set limit is a sliding window: at most N attempts begin within any S seconds. When a provider answers 421 or 4.7.x,
the lane drops to three quarters of its speed at that moment. The speed then grows by half a percent with every accepted
message, so the lane touches a hidden limit about once in sixty messages. All times come from one monotonic clock.
"""

from __future__ import annotations

from collections import deque

from engine.model.limits import SendingLimit
from engine.smtp.verdict import Kind, Verdict

SLOWER, FASTER = 0.75, 1.005
SLOWEST = 1 / 60
"""Messages per second; no provider slows a lane below this."""
UNLIMITED = 1000.0
"""Messages per second; at this speed the provider's limit is forgotten."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds of rest after a provider said "too fast", doubled each time it accepted nothing in between."""
LOOK_BACK = 10.0
"""Seconds over which the current speed is measured."""


def is_throttling(verdict: Verdict) -> bool:
    """Whether a server said "too fast": 421, 4.7.x, or 4.2.1 with 450 (RFC 3463 section 3, as providers use it)."""
    if verdict.kind is not Kind.LATER or verdict.code is None:
        return False
    enhanced = verdict.enhanced or ""
    return verdict.code == 421 or enhanced.startswith("4.7.") or (verdict.code == 450 and enhanced == "4.2.1")


class SendingRate:
    """The pace of one lane."""

    def __init__(self, limit: SendingLimit | None) -> None:
        self.limit = limit
        self._window: deque[float] = deque()
        self._rate: float | None = None
        self._next = 0.0
        self._measured_from: float | None = None
        self._accepted = 0.0
        self._pause = FIRST_PAUSE

    @property
    def slowed(self) -> bool:
        """Whether the provider has asked us to slow down."""
        return self._rate is not None

    def change(self, limit: SendingLimit | None) -> None:
        """Set another limit and forget the provider's: the provider may have changed too."""
        self.limit = limit
        self._rate = None
        self._next = 0.0

    def remember(self, began: list[float]) -> None:
        """Count attempts that began before this lane did, oldest first."""
        self._window.extend(began)

    def pass_time(self, seconds: float) -> None:
        """Count everything so far as so many seconds longer ago."""
        self._window = deque(began - seconds for began in self._window)
        self._next -= seconds

    def ready_at(self, now: float) -> float:
        """When the next attempt may begin; at or before `now` if it may begin at once."""
        ready = self._next
        if self.limit is not None:
            self._forget(now, self.limit)
            if len(self._window) >= self.limit.messages:
                ready = max(ready, self._window[-self.limit.messages] + self.limit.seconds)
        return ready

    def left(self, now: float) -> int | None:
        """How many attempts the limit still allows at `now`; None if there is no limit."""
        if self.limit is None:
            return None
        self._forget(now, self.limit)
        return max(0, self.limit.messages - len(self._window))

    def _forget(self, now: float, limit: SendingLimit) -> None:
        while self._window and self._window[0] <= now - limit.seconds:
            self._window.popleft()

    def began(self, at: float) -> None:
        """Count an attempt that began at `at`."""
        if self._measured_from is None:
            self._measured_from = at
        if self.limit is not None:
            self._window.append(at)
        if self._rate is not None:
            self._next = at + 1 / self._rate

    def ended(self, verdict: Verdict, now: float) -> None:
        """Adapt the speed to the `verdict` of an attempt."""
        if is_throttling(verdict):
            if self._accepted:
                rate = min(self._accepted / max(now - (self._measured_from or 0.0), 1 / UNLIMITED), UNLIMITED)
                self._rate = max(min(rate, self._rate or UNLIMITED) * SLOWER, SLOWEST)
                self._measured_from, self._accepted, self._pause = now, 0.0, FIRST_PAUSE
            else:
                self._rate = self._rate or UNLIMITED * SLOWER
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._next = now + max(self._pause, 1 / self._rate)
        elif verdict.kind is Kind.ACCEPTED:
            self._accepted += 1
            if self._measured_from is not None and now - self._measured_from > LOOK_BACK:
                self._measured_from += (now - self._measured_from) / 2
                self._accepted /= 2
            if self._rate is not None:
                self._rate *= FASTER
                if self._rate >= UNLIMITED:
                    self._rate = None
