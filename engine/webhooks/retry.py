"""When a webhook that was not accepted is posted again, and when it is parked. Pure.

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
from typing import NamedTuple

LONGEST_AWAY = 3600.0
"""Maximum seconds between two attempts to post to a receiver that is away."""
LONGEST_SILENCE = 40.0
"""Maximum seconds between two posts to a silent host."""
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


class Failed(NamedTuple):
    """What has failed so far: `attempts` posts of one event, this one included, `steps` of them by the schedule.

    `seconds` have passed since the first. `others_taken`: the receiver has accepted other events since then.
    """

    attempts: int
    steps: int
    seconds: float
    others_taken: bool


def is_step(outcome: PostOutcome, *, others_taken: bool) -> bool:
    """Whether a failed post counts as a step of the schedule."""
    return outcome is not PostOutcome.SILENT and (outcome is not PostOutcome.UNKNOWN or others_taken)


def wait(schedule: Sequence[float], outcome: PostOutcome, failed: Failed, retry_after: float | None) -> float | None:
    """The seconds until the next post, or None if the event is to be parked."""
    if outcome is PostOutcome.SILENT:
        return min(step(schedule, failed.attempts), LONGEST_SILENCE)
    if not is_step(outcome, others_taken=failed.others_taken):
        return min(step(schedule, failed.steps), LONGEST_SILENCE)
    spent = failed.steps > len(schedule)
    if outcome is PostOutcome.ANSWERED:
        return None if spent else max(schedule[failed.steps - 1], retry_after or 0.0)
    if spent and failed.seconds >= sum(schedule) and failed.others_taken:
        return None
    return min(step(schedule, failed.steps), LONGEST_AWAY)


def step(schedule: Sequence[float], attempts: int) -> float:
    """The wait in seconds after `attempts` failed attempts, by the schedule."""
    return schedule[min(max(attempts, 1), len(schedule)) - 1] if schedule else LONGEST_AWAY


def steps_within(schedule: Sequence[float], attempts: int, seconds: float) -> int:
    """How many of `attempts` can have been steps of the schedule, if the first of them was `seconds` ago."""
    steps, passed = 1, 0.0
    while steps < attempts and (passed := passed + step(schedule, steps)) <= seconds:
        steps += 1
    return min(steps, attempts)
