"""The states of an account. Pure.

`init → connecting → syncing → connected`; an error state is left by the next `connecting`.
"""

from __future__ import annotations

from enum import StrEnum


class AccountState(StrEnum):
    """The state of an account's connection."""

    INIT = "init"
    CONNECTING = "connecting"
    SYNCING = "syncing"
    CONNECTED = "connected"
    AUTHENTICATION_ERROR = "authenticationError"
    CONNECT_ERROR = "connectError"
    DISCONNECTED = "disconnected"
    UNSET = "unset"
    PAUSED = "paused"
