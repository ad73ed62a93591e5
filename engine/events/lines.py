"""An account's line at an endpoint: what it waits for, and what a failed post means for it.

An event that was answered with a refusal is posted again by the schedule and parked when that is spent, so that one bad
event does not hold up its account for ever. A receiver may ask for more time, never for less, so what is promised holds
whatever it says. No answer at all is the receiver being away: nothing is parked for that,
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

    `attempts` failed tries of the first of them since `since`; the next is due at `next_at` (all seconds since 1970),
    and never more than `longest` seconds away: the wall clock may have been set since.
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
    longest: float = LONGEST_AWAY

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
            return max(schedule[self.attempts - 1], retry_after or 0.0)
        if spent and now - self.since >= sum(schedule) and taken_at >= self.since:
            return None
        return min(step(schedule, self.attempts), LONGEST_AWAY)


def step(schedule: Sequence[float], attempts: int) -> float:
    """Seconds the schedule has a line wait after so many failed tries."""
    return schedule[min(max(attempts, 1), len(schedule)) - 1] if schedule else LONGEST_AWAY
