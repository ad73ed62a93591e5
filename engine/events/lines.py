"""An account's line at an endpoint: what it waits for, and what a failed post means for it.

An event that was answered with a refusal is posted again by the schedule and parked when that is spent, so that one bad
event does not hold up its account for ever. No answer at all is the receiver being away: nothing is parked for that,
however long it takes, unless the receiver has taken other events meanwhile (then it is this event that breaks it).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

LONGEST_AWAY = 3600.0
"""Seconds between two tries at a receiver that is away."""
EARLY = 60.0
"""Seconds a try must be old before the receiver's coming back brings the next one forward."""


class Line(msgspec.Struct):
    """The events of one account that an endpoint is not done with: those above `seq` up to `until`.

    `attempts` failed tries of the first of them since `since`; the next is due at `next_at` (all seconds since 1970).
    `answered` is whether the last of them was. `gone`: the account's own URL answered 410.
    """

    account: str
    seq: int
    until: int
    attempts: int = 0
    since: float | None = None
    next_at: float | None = None
    error: str | None = None
    gone: bool = False
    answered: bool = True

    def advance(self, seq: int) -> None:
        """Done with everything up to `seq`."""
        self.seq = max(self.seq, seq)
        self.attempts, self.since, self.next_at, self.error, self.answered = 0, None, None, None, True

    def wait_after(
        self, schedule: Sequence[float], now: float, *, answered: bool, retry_after: float | None, taken_at: float
    ) -> float | None:
        """Note a failed try; the seconds until the next, None when the event is to be parked.

        `taken_at` is when the receiver last took anything, `-inf` if it is not known to have.
        """
        self.attempts += 1
        self.answered = answered
        if self.since is None:
            self.since = now
        spent = self.attempts > len(schedule)
        if answered:
            if spent:
                return None
            return schedule[self.attempts - 1] if retry_after is None else retry_after
        if spent and now - self.since >= sum(schedule) and taken_at >= self.since:
            return None
        return min(schedule[min(self.attempts, len(schedule)) - 1] if schedule else LONGEST_AWAY, LONGEST_AWAY)
