"""The backlog of one account at an endpoint, and what a failed post means for it.

* **The receiver refused the event.** It is posted again by the schedule, and parked at the end of it, so that one bad
  event does not block its account for ever. `Retry-After` can lengthen a wait but not shorten it.
* **The connection failed.** The receiver is away. Its events wait, however long that takes, and none is parked, unless
  the receiver has accepted other events in the meantime: then this event must be what breaks it.
* **The host is silent.** It is dialled at least every 40 s, so that events go within a minute of its return.
* **No answer came in time.** The receiver may have the event. It is posted again, since twice is better than never.

The last two are not steps of the schedule: a refusal after them continues the schedule where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

LONGEST_AWAY = 3600.0
"""Most seconds between two attempts to post to a receiver that is away."""
LONGEST_SILENCE = 40.0
"""Most seconds between two posts to a silent host."""
EARLY = 60.0
"""Seconds that must have passed since an attempt before the receiver's return brings the next one forward."""


class PostOutcome(StrEnum):
    """How a post failed, as far as its next attempt is concerned."""

    ANSWERED = "answered"
    SHUT = "shut"
    """The host is there but gave no answer: connection refused or broken, or not HTTP."""
    SILENT = "silent"
    """The host cannot be reached, or its name cannot be resolved."""
    UNKNOWN = "unknown"
    """No answer in time: the receiver may have the event."""


class AccountBacklog(msgspec.Struct):
    """The events of one account that an endpoint is not done with: those above `seq` up to `until`.

    The first of them has failed `attempts` times since `since`; the next attempt is due at `next_at` (both seconds
    since 1970), but at most `longest` seconds from now, in case the wall clock was set. `steps` of these attempts count
    as steps of the schedule. `answered`: the last attempt got an answer. `gone`: the account's own URL answered 410.
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
        """Restore the fields that are not stored, after a restart."""
        self.steps = steps_within(schedule, self.attempts, now - (self.since or 0.0))
        self.longest = step(schedule, self.attempts)
        if self.since is not None:
            self.since = min(self.since, now)

    def advance(self, seq: int) -> None:
        """Mark everything up to `seq` as done."""
        self.seq = max(self.seq, seq)
        self.attempts, self.steps, self.since, self.next_at, self.error, self.answered = 0, 0, None, None, None, True

    def seconds_left(self, now: float) -> float:
        """Seconds until the next post, at most `longest`; 0 or less if it is due."""
        if self.next_at is None:
            return 0.0
        self.next_at = min(self.next_at, now + self.longest)
        return self.next_at - now

    def wait_after(
        self, schedule: Sequence[float], now: float, outcome: PostOutcome, *, retry_after: float | None, taken_at: float
    ) -> float | None:
        """Note a failed post; return the seconds until the next, or None if the event is to be parked.

        `taken_at` is when the receiver last accepted an event; `-inf` if that is unknown.
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
    """The wait in seconds after `attempts` failed attempts, by the schedule."""
    return schedule[min(max(attempts, 1), len(schedule)) - 1] if schedule else LONGEST_AWAY


def steps_within(schedule: Sequence[float], attempts: int, seconds: float) -> int:
    """How many of `attempts` can have been steps of the schedule, if the first of them was `seconds` ago."""
    steps, passed = 1, 0.0
    while steps < attempts and (passed := passed + step(schedule, steps)) <= seconds:
        steps += 1
    return min(steps, attempts)
