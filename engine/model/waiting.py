"""What keeps a message from being sent now. *pure*"""

from __future__ import annotations

from typing import Literal

import msgspec

WaitingKind = Literal[
    "schedule",
    "retry",
    "turn",
    "login",
    "connection",
    "rateLimit",
    "provider",
    "quota",
    "paused",
    "smtp",
    "gateway",
    "evidence",
    "decision",
    "release",
]


class Waiting(msgspec.Struct, frozen=True):
    """What a message waits for, in plain words. Times in seconds since 1970; `until` is None if unknown."""

    kind: WaitingKind
    since: float
    until: float | None
    remedy: str
