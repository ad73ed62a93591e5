"""When a message that could not be sent is tried again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def delay(schedule: Sequence[float], failed: int, jitter: float, random: Random) -> float:
    """Seconds to wait after the `failed`-th failed try (from 1).

    The schedule's last entry repeats; the wait is lengthened or shortened by up to `jitter` of itself, so that what
    failed together does not come back together.
    """
    base = schedule[min(failed, len(schedule)) - 1]
    return base * (1 + jitter * (2 * random.random() - 1))
