"""By which server a message leaves: the gateway that its caller names, or the account's own."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UnsetType


class GatewayChoice:
    """Chooses for all messages. `exists`: whether there is a gateway with this id."""

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self._exists = exists

    def of(self, asked: str | UnsetType | None) -> str | None:
        """The gateway to send through; None for the account's own server, also in place of one that does not exist."""
        return asked if asked and self._exists(asked) else None
