"""How long to wait before asking again for a token that could not be had."""

from __future__ import annotations

import random

FIRST_WAIT, LONGEST_WAIT = 30.0, 600.0
LONGEST_RETRY_AFTER = 3600.0
SPREAD, RETRY_AFTER_SPREAD = 0.2, 0.1
"""The parts by which a wait is shortened, and what the server asks for lengthened, at random: many accounts fail at the
same time, and would ask together again."""


def wait_after(failures: int, retry_after: float | None, chance: random.Random) -> float:
    """Seconds after a failure that had `failures` before it: 30, doubling to 600, or more if the server says so."""
    wait = min(FIRST_WAIT * 2.0 ** min(failures, 10), LONGEST_WAIT) * chance.uniform(1 - SPREAD, 1)
    if retry_after is None:
        return wait
    return max(wait, min(retry_after, LONGEST_RETRY_AFTER) * chance.uniform(1, 1 + RETRY_AFTER_SPREAD))
