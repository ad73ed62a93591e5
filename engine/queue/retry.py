"""When a message that could not be sent is tried again, and for how long. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def delay(schedule: Sequence[float], failed: int, jitter: float, chance: float) -> float:
    """Seconds to wait after the `failed`-th failed attempt (from 1).

    The schedule's last entry repeats; the wait is lengthened or shortened by up to `jitter` of itself, so that what
    failed together does not come back together: `chance` is a random number from 0 to 1.
    """
    base = schedule[min(failed, len(schedule)) - 1]
    return base * (1 + jitter * (2 * chance - 1))


def longest(schedule: Sequence[float], failed: int, jitter: float) -> float:
    """Seconds that `delay` gives at most."""
    return schedule[min(max(failed, 1), len(schedule)) - 1] * (1 + jitter)


def horizon(schedule: Sequence[float], attempts: int, jitter: float) -> float:
    """Seconds over which `attempts` attempts spread at most, at least the first wait.

    For as long a message waits where its account cannot send at all, even if the attempts of others are what fails.
    """
    waits = max(attempts - 1, 1)
    total = sum(schedule[:waits]) + schedule[-1] * max(waits - len(schedule), 0)
    return total * (1 + jitter)
