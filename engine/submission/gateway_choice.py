"""The server through which a message leaves: the gateway that its caller names, or the account's own."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UnsetType


class GatewayChoice:
    """Chooses for all messages. `host_of` returns a gateway's host: "" if unreadable, None if there is no gateway."""

    def __init__(self, host_of: Callable[[str], str | None]) -> None:
        self._host_of = host_of

    def of(self, asked: str | UnsetType | None) -> str | None:
        """The gateway to send through; None for the account's own server, also if the gateway does not exist."""
        return asked if asked and self._host_of(asked) is not None else None

    def host(self, asked: str | None) -> str | None:
        """The host of that gateway, "" if it cannot be read; None for the account's own server."""
        return self._host_of(asked) if asked else None
