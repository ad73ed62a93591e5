"""What a request holds until its answer has ended, or its client has left."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from quart import Request

HELD = "engine.held"
"""In the scope of a request: what is let go of once its answer has ended."""


def until_answered(request: Request) -> AsyncExitStack:
    """What is entered here lasts until the answer to `request` has ended, or its client has left."""
    scope: Mapping[str, Any] = request.scope
    held: AsyncExitStack = scope[HELD]
    return held
