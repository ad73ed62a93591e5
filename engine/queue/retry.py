"""When a failed attempt is repeated, and for how long. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def delay(schedule: Sequence[float], failed: int, jitter: float, chance: float) -> float:
    """Seconds to wait after the `failed`-th failed attempt (from 1).

    The schedule's last entry repeats. The wait varies by up to `jitter` of itself either way, so that messages that
    failed together are not all due together; `chance` is a random number from 0 to 1.
    """
    base = schedule[min(failed, len(schedule)) - 1]
    return base * (1 + jitter * (2 * chance - 1))


def longest(schedule: Sequence[float], failed: int, jitter: float) -> float:
    """The maximum seconds that `delay` can return."""
    return schedule[min(max(failed, 1), len(schedule)) - 1] * (1 + jitter)


def horizon(schedule: Sequence[float], attempts: int, jitter: float) -> float:
    """The maximum seconds that `attempts` attempts can spread over; at least the first wait.

    A message waits this long if its account cannot send at all, even if it makes no attempt of its own.
    """
    waits = max(attempts - 1, 1)
    total = sum(schedule[:waits]) + schedule[-1] * max(waits - len(schedule), 0)
    return total * (1 + jitter)
