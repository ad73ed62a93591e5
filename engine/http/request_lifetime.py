"""Resources that a request holds until its answer has ended or its client has left."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from quart import Request

HELD = "engine.held"
"""Key in a request's scope: the exit stack that is closed once its answer has ended."""


def until_answered(request: Request) -> AsyncExitStack:
    """The exit stack that is closed when the answer to `request` has ended or its client has left."""
    scope: Mapping[str, Any] = request.scope
    held: AsyncExitStack = scope[HELD]
    return held
