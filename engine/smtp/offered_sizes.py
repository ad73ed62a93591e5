"""The largest message that each SMTP server said it takes, when it was last asked (RFC 1870). *pure*"""

from __future__ import annotations

from typing import Final

from engine.smtp.protocol import Capabilities

MOST: Final = 10_000
"""Servers that are remembered; the oldest are forgotten."""


class OfferedSizes:
    """What servers offered since the start of the process."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, int], int | None] = {}

    def note(self, host: str, port: int, offered: Capabilities) -> None:
        """Remember what a server has just offered."""
        self._sizes.pop((host, port), None)
        self._sizes[host, port] = offered.size
        if len(self._sizes) > MOST:
            del self._sizes[next(iter(self._sizes))]

    def of(self, host: str, port: int) -> int | None:
        """Its limit in octets; None if it states none, or was not asked yet."""
        return self._sizes.get((host, port))
