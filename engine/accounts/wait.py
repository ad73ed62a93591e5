"""Waiting for an account to be connected: a long poll, so that nobody has to look again and again.

It ends when the account is connected, when time alone will not connect it (its login is refused, there is nothing to
connect to), when it is removed, or when the engine stops. How long it may take is the caller's to say.
A state that a change of the registration is about to end does not count: who has just mended a password waits for the
new login.
"""

from __future__ import annotations

from engine.accounts.account import Account
from engine.accounts.registry import Registry
from engine.accounts.state import AccountState
from engine.events.state_changes import StateChanges

_DECIDED = (AccountState.CONNECTED, AccountState.AUTHENTICATION_ERROR, AccountState.UNSET)


async def until_connected(account: str, registry: Registry, changes: StateChanges) -> None:
    """Return once there is nothing more to wait for. Cancelled: nothing is lost."""
    with changes.watching(account) as watcher:
        while not changes.stopped and _may_change(registry.get(account)):
            await watcher.take()


def _may_change(account: Account | None) -> bool:
    return account is not None and (account.reconnecting or account.status.state not in _DECIDED)
