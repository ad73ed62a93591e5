"""Completes a change although its caller disconnects."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import trio

from engine.errors import Problem

T = TypeVar("T")
CHANGE_SECONDS = 60.0


async def carry_through(change: Awaitable[T]) -> T:
    """Complete a change even if the caller disconnects, within at most one minute."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CHANGE_SECONDS):
        return await change
    raise Problem(503, "The change took too long; it may or may not have been made", code="Timeout")
