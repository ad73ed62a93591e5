"""The backlog of one account at an endpoint: which events are not posted yet, and how the first of them has failed.

Pure. `engine.webhooks.retry` says what a failed post means for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.webhooks.retry import LONGEST_AWAY, Failed, PostOutcome, is_step, step, steps_within, wait


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
        self.steps += is_step(outcome, others_taken=others_taken)
        failed = Failed(self.attempts, self.steps, now - self.since, others_taken)
        return wait(schedule, outcome, failed, retry_after)
