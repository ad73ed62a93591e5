"""How much an account may still send within its provider's limits: rolling windows over what was sent. Pure.

Each transaction counts once, and each of its recipients; a message with more recipients than one transaction may have
takes several. A window is full as long as the next message would exceed it. Once a window has been full while mail
waited, the waiting mail leaves evenly over its length instead of at once, until none is left. All times come from one
monotonic clock, in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from engine.model.limits import WindowLimit


class Cost(NamedTuple):
    """What a message takes of a quota."""

    transactions: int = 1
    recipients: int = 1


class Use(NamedTuple):
    """One transaction that counts: when it was, how many recipients it had, and its row in the journal."""

    at: float
    recipients: int
    row: int


class Fill(NamedTuple):
    """How full a window is; `frees_at`: when the oldest use in it no longer counts, None if there is none."""

    limit: WindowLimit
    used: int
    frees_at: float | None


class QuotaWindow:
    """One limit and the uses that count against it."""

    def __init__(self, limit: WindowLimit) -> None:
        self.limit = limit
        self.is_spread = False
        """It was full while mail waited, and mail has waited ever since."""
        self._uses: deque[Use] = deque()
        self._used = 0

    def add(self, use: Use) -> None:
        """Count a use, no older than the others."""
        self._uses.append(use)
        self._used += self._weight(use)

    def drop_newest(self, row: int) -> None:
        """Count the newest use no longer, if it is that of this row."""
        if self._uses and self._uses[-1].row == row:
            self._used -= self._weight(self._uses.pop())

    def pass_time(self, seconds: float) -> None:
        """Count every use as so many seconds longer ago."""
        self._uses = deque(use._replace(at=use.at - seconds) for use in self._uses)

    def forget(self, now: float) -> None:
        """Drop the uses that no longer count."""
        while self._uses and self._uses[0].at <= now - self.limit.seconds:
            self._used -= self._weight(self._uses.popleft())

    def fill(self, now: float) -> Fill:
        """How full it is."""
        self.forget(now)
        return Fill(self.limit, self._used, self._uses[0].at + self.limit.seconds if self._uses else None)

    def admits_ever(self, cost: Cost) -> bool:
        """Whether a message would fit into the empty window."""
        return self._of(cost) <= self.limit.most

    def has_room_at(self, now: float, cost: Cost) -> float:
        """When a message of this cost fits; at or before `now` if it does now, or if it never will."""
        self.forget(now)
        excess = self._used + self._of(cost) - self.limit.most
        if excess <= 0 or not self._uses:
            return now
        for use in self._uses:
            excess -= self._weight(use)
            if excess <= 0:
                return use.at + self.limit.seconds
        return self._uses[-1].at + self.limit.seconds

    @property
    def spread_until(self) -> float:
        """When the next message may go after the last one, if waiting mail leaves evenly; 0 before the first one."""
        if not self._uses:
            return 0.0
        last = self._uses[-1]
        return last.at + self._weight(last) * self.limit.seconds / self.limit.most

    def _of(self, cost: Cost) -> int:
        return cost.recipients if self.limit.counts_recipients else cost.transactions

    def _weight(self, use: Use) -> int:
        return use.recipients if self.limit.counts_recipients else 1


class QuotaWindows:
    """All windows of one account."""

    def __init__(self, limits: Sequence[WindowLimit]) -> None:
        self._windows = [QuotaWindow(limit) for limit in limits]
        self._longest = max((each.seconds for each in limits), default=0)
        self._rows: deque[tuple[float, int]] = deque()
        """(time, row) of every use that counts in some window."""

    def __bool__(self) -> bool:
        return bool(self._windows)

    @property
    def longest(self) -> int:
        """The length of the longest window."""
        return self._longest

    def add(self, use: Use) -> None:
        """Count a use, no older than the others."""
        for window in self._windows:
            window.add(use)
        self._rows.append((use.at, use.row))

    def drop_newest(self, row: int) -> None:
        """Count the newest use no longer, if it is that of this row; it may have become outdated."""
        if self._rows and self._rows[-1][1] == row:
            self._rows.pop()
            for window in self._windows:
                window.drop_newest(row)

    def pass_time(self, seconds: float) -> None:
        """Count every use as so many seconds longer ago."""
        for window in self._windows:
            window.pass_time(seconds)
        self._rows = deque((at - seconds, row) for at, row in self._rows)

    def outdated(self, now: float) -> list[int]:
        """The rows of the uses that count nowhere any more; they are named once."""
        for window in self._windows:
            window.forget(now)
        rows = []
        while self._rows and self._rows[0][0] <= now - self._longest:
            rows.append(self._rows.popleft()[1])
        return rows

    def fills(self, now: float) -> list[Fill]:
        """How full each window is."""
        return [each.fill(now) for each in self._windows]

    def ready_at(self, now: float, cost: Cost) -> float:
        """When a waiting message of this cost may go; at or before `now` if it may at once."""
        ready = now
        for window in self._windows:
            room = window.has_room_at(now, cost)
            ready = max(ready, room, window.spread_until if window.is_spread else now)
        return ready

    def waits(self, now: float, cost: Cost) -> None:
        """Mail waits, the first message of it at this cost: it leaves evenly through each window that is full."""
        for window in self._windows:
            window.is_spread = window.is_spread or window.has_room_at(now, cost) > now

    def never_fits(self, cost: Cost) -> WindowLimit | None:
        """A limit that the message alone exceeds; None: there is none."""
        return next((each.limit for each in self._windows if not each.admits_ever(cost)), None)

    def fullest(self, now: float) -> WindowLimit:
        """The limit of the window that has the least room, as a share of what it allows."""
        return max(self.fills(now), key=lambda fill: fill.used / fill.limit.most).limit

    def spread(self, now: float, share: float) -> None:
        """Let waiting mail leave evenly through the windows of which at least this share is used."""
        for window in self._windows:
            fill = window.fill(now)
            window.is_spread = window.is_spread or fill.used >= share * fill.limit.most

    def drained(self) -> None:
        """No mail waits any more: what comes next may go at once."""
        for window in self._windows:
            window.is_spread = False
