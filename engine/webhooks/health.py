"""The health of a webhook endpoint: what it posted, what failed, what its filter left out."""

from __future__ import annotations

import msgspec


class Health(msgspec.Struct, rename="camel", omit_defaults=True):
    """A record of successes and failures; times are in seconds since 1970.

    `passed` and `left_out` count what its filter did, if it has one.
    """

    last_success: float | None = None
    failing_since: float | None = None
    error: str | None = None
    error_at: float | None = None
    error_seq: int | None = None
    error_account: str | None = None
    error_status: int | None = None
    gone: bool = False
    started: bool = False
    delivered: int = 0
    passed: int = 0
    left_out: int = 0
    last_passed: float | None = None

    def forget_filter(self) -> None:
        """Reset the counts of the filter, which has been replaced."""
        self.passed, self.left_out, self.last_passed = 0, 0, None


def health_of(stored: bytes) -> Health:
    """Decode a stored record; if it cannot be read, only `started` is kept, as true."""
    try:
        return msgspec.json.decode(stored, type=Health)
    except (TypeError, ValueError):
        return Health(started=True)
