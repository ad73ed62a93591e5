"""Waiting for an account to be connected: a long poll, so that nobody has to look again and again.

It ends when the account is connected, when time alone will not connect it (its login is refused, there is nothing to
connect to), when it is removed, after `LONGEST_WAIT`, or when the engine stops; and with the connection of the client.
A state that a change of the registration is about to end does not count: who has just mended a password waits for the
new login.
"""

from __future__ import annotations

import trio

from engine.accounts.account import Account
from engine.accounts.state import AccountState
from engine.api.context import Context
from engine.api.events import LONGEST_WAIT
from engine.store.tokens import Token

_DECIDED = (AccountState.CONNECTED, AccountState.AUTHENTICATION_ERROR, AccountState.UNSET)


async def until_connected(context: Context, account: str, caller: Token) -> None:
    """Return once there is nothing more to wait for.

    Raises `Problem`: 429 and 503 where the caller, or all, have their share of streams. Cancelled: nothing is lost.
    """
    with (
        context.streams.share.hold(caller.hash),
        context.changes.watching(account) as watcher,
        trio.move_on_after(LONGEST_WAIT),
    ):
        while not context.changes.stopped and _may_change(context.registry.get(account)):
            await watcher.take()


def _may_change(account: Account | None) -> bool:
    return account is not None and (account.reconnecting or account.status.state not in _DECIDED)
