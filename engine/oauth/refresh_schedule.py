"""When an access token is refreshed before it expires, and when it is requested again after a failure.

Times are in seconds since 1970.
"""

from __future__ import annotations

import random

MARGIN, PART = 60.0, 0.1
"""An access token is refreshed this many seconds before it expires, or this fraction of its lifetime if longer."""
LONGEST_PART = 0.25
"""But at most this fraction of its lifetime before: a very short-lived token would be refreshed all the time."""
SHORTEST = 5.0
"""Minimum seconds between two refreshes for which no one waits, however soon a provider's tokens expire."""
DYING = 5.0
"""Seconds before its expiry from which on an access token is not used for a new login."""
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


def refresh_at(expires: float | None, obtained: float | None) -> float | None:
    """When to refresh an access token; None: only once it is refused."""
    if expires is None:
        return None
    life = _life(expires, obtained)
    at = expires - min(max(MARGIN, life * PART), max(life, 0.0) * LONGEST_PART)
    return at if obtained is None or life <= 0 else max(at, obtained + SHORTEST)


def usable_at(now: float, expires: float | None, obtained: float | None) -> bool:
    """Whether an access token may be used for a new login."""
    return expires is None or now < expires - min(DYING, max(_life(expires, obtained), 0.0) / 8)


def _life(expires: float, obtained: float | None) -> float:
    return expires - obtained if obtained is not None else 3600.0
