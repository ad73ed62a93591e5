"""The refusals of an account that is not ready, by its state: not connected, or never synced yet. Pure."""

from __future__ import annotations

import msgspec

from engine.model.account_states import AccountState


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
