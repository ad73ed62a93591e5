"""Limits that a registration sets and the queue keeps. *pure*"""

from __future__ import annotations

import msgspec


class SendingLimit(msgspec.Struct, frozen=True):
    """At most `messages` attempts begin within any `seconds`."""

    messages: int
    seconds: int
