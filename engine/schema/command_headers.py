"""`x-ee-timeout`: how long a request waits for the mail server."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from engine.schema.fields import Request

_TIMEOUT_MS = 10_000


class CommandHeaders(Request, frozen=True, kw_only=True):
    """Headers of a request that the mail server answers."""

    timeout: Annotated[
        Annotated[int, Meta(ge=0, le=7_200_000)],
        Meta(
            description="The time limit for the mail server, in milliseconds; beyond it, the answer is a 504. `0` is "
            "the same as absent."
        ),
    ] = msgspec.field(name="x-ee-timeout", default=_TIMEOUT_MS)

    @property
    def seconds(self) -> float:
        """The time limit in seconds."""
        return (self.timeout or _TIMEOUT_MS) / 1000
