"""Waits for an account to be connected: a long poll, so that clients need not poll the state.

The wait ends when the account is connected, when it will not connect without a change (its login is refused, or it has
no server), when it is removed, or when the engine stops. The caller sets the time limit. A state that a change of the
registration is about to replace does not count: after a password was corrected, the wait is for the new login.
"""

from __future__ import annotations

from engine.accounts.account import Account
from engine.accounts.registry import Registry
from engine.events.state_changes import StateChanges
from engine.model.account_states import AccountState

_DECIDED = (AccountState.CONNECTED, AccountState.AUTHENTICATION_ERROR, AccountState.UNSET)


async def until_connected(account: str, registry: Registry, changes: StateChanges) -> None:
    """Return when the wait ends. Cancelled: nothing is lost."""
    with changes.watching(account) as watcher:
        while not changes.stopped and _may_change(registry.get(account)):
            await watcher.take()


def _may_change(account: Account | None) -> bool:
    return account is not None and (account.reconnecting or account.status.state not in _DECIDED)
