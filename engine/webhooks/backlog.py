"""An account's line at an endpoint: what it waits for, and what a failed post means for it.

An event that was answered with a refusal is posted again by the schedule and parked when that is spent, so that one bad
event does not hold up its account for ever. A receiver may ask for more time, never for less, so what is promised holds
whatever it says. No answer at all is the receiver being away: nothing is parked for that,
however long it takes, unless the receiver has taken other events meanwhile (then it is this event that breaks it).

A silent host is looked for every 40 s or so, so that events go within a minute of its return. A post that was not
answered in time may have been taken: it is made again, since an event twice is better than none, and says nothing about
how long to wait. So neither is a step of the schedule, which a later refusal finds where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

LONGEST_AWAY = 3600.0
"""Seconds between two attempts at a receiver that is away."""
LONGEST_SILENCE = 40.0
"""Seconds between two posts to a host of which nothing is heard."""
EARLY = 60.0
"""Seconds an attempt must be old before the receiver's coming back brings the next one forward."""


class PostOutcome(StrEnum):
    """What a failed post came to, as far as its next attempt is concerned."""

    ANSWERED = "answered"
    SHUT = "shut"
    """Something is there and gives no answer: the port is shut, the line breaks, it speaks no HTTP."""
    SILENT = "silent"
    """There is no way to it, or no name."""
    UNKNOWN = "unknown"
    """No answer in time: the receiver may have the event."""


class AccountBacklog(msgspec.Struct):
    """The events of one account that an endpoint is not done with: those above `seq` up to `until`.

    `attempts` failed attempts of the first of them since `since`; the next is due at `next_at` (all seconds since
    1970), and never more than `longest` seconds away: the wall clock may have been set since. `steps` of the attempts
    made the wait longer. `answered` is whether the last of them was. `gone`: the account's own URL answered 410.
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
    steps: int = 0
    longest: float = LONGEST_AWAY

    def resume(self, schedule: Sequence[float], now: float) -> None:
        """It was kept over a restart: what does not last is worked out anew."""
        self.steps = steps_within(schedule, self.attempts, now - (self.since or 0.0))
        self.longest = step(schedule, self.attempts)
        if self.since is not None:
            self.since = min(self.since, now)

    def advance(self, seq: int) -> None:
        """Done with everything up to `seq`."""
        self.seq = max(self.seq, seq)
        self.attempts, self.steps, self.since, self.next_at, self.error, self.answered = 0, 0, None, None, None, True

    def seconds_left(self, now: float) -> float:
        """Seconds until the next post, as far as the wall clock was not set back; not above 0 when it is due."""
        if self.next_at is None:
            return 0.0
        self.next_at = min(self.next_at, now + self.longest)
        return self.next_at - now

    def wait_after(
        self, schedule: Sequence[float], now: float, outcome: PostOutcome, *, retry_after: float | None, taken_at: float
    ) -> float | None:
        """Note a failed post; the seconds until the next, None when the event is to be parked.

        `taken_at` is when the receiver last took anything, `-inf` if it is not known to have.
        """
        self.attempts += 1
        self.answered = outcome is PostOutcome.ANSWERED
        if self.since is None:
            self.since = now
        others_taken = taken_at >= self.since
        if outcome is PostOutcome.SILENT:
            return min(step(schedule, self.attempts), LONGEST_SILENCE)
        if outcome is PostOutcome.UNKNOWN and not others_taken:
            return min(step(schedule, self.steps), LONGEST_SILENCE)
        self.steps += 1
        spent = self.steps > len(schedule)
        if self.answered:
            return None if spent else max(schedule[self.steps - 1], retry_after or 0.0)
        if spent and now - self.since >= sum(schedule) and others_taken:
            return None
        return min(step(schedule, self.steps), LONGEST_AWAY)


def step(schedule: Sequence[float], attempts: int) -> float:
    """Seconds the schedule has a line wait after so many failed attempts."""
    return schedule[min(max(attempts, 1), len(schedule)) - 1] if schedule else LONGEST_AWAY


def steps_within(schedule: Sequence[float], attempts: int, seconds: float) -> int:
    """How many of `attempts` can have followed the schedule, if the first of them was `seconds` ago."""
    steps, passed = 1, 0.0
    while steps < attempts and (passed := passed + step(schedule, steps)) <= seconds:
        steps += 1
    return min(steps, attempts)
