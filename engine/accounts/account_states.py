"""The states of an account and what each means for a caller. Pure.

`init → connecting → syncing → connected`; an error state is left by the next `connecting`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


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


class Refusal(msgspec.Struct, frozen=True):
    """Why a submission is refused before the first sync has ended; `retry_after` is in seconds."""

    code: str
    message: str
    retry_after: int


_STARTING = Refusal("NotYetConnected", "Requested account is not yet connected", 2)

REFUSALS: dict[AccountState, Refusal] = {
    AccountState.INIT: Refusal("NotYetConnected", "Requested account is not yet initialized", 2),
    AccountState.CONNECTING: _STARTING,
    AccountState.SYNCING: _STARTING,
    AccountState.CONNECTED: _STARTING,
    AccountState.AUTHENTICATION_ERROR: Refusal("AuthenticationFails", "Requested account can not be authenticated", 60),
    AccountState.CONNECT_ERROR: Refusal("ConnectionError", "Can not establish server connection", 30),
    AccountState.DISCONNECTED: Refusal("NoAvailable", "Requested account is currently not available", 5),
    AccountState.UNSET: Refusal("NotSyncing", "Syncing is disabled for the requested account", 3600),
    AccountState.PAUSED: Refusal("NoAvailable", "Requested account is currently not available", 10),
}
"""The refusal of a submission by state. An initialized account refuses none: submissions are queued."""
