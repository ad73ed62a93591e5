"""Changes of account states, passed to watchers as they happen, without numbers and without history.

A watcher holds only the newest state of each account until it is taken, so one that does not read costs at most one
entry for each account. A client that must not miss a change reads the journal instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

Change = dict[str, Any]


class Watcher:
    """One watcher. `account` is the only account that it may see; None for all."""

    def __init__(self, account: str | None) -> None:
        self.account = account
        self._newest: dict[str, Change] = {}
        self._some = trio.Event()

    def put(self, change: Change) -> None:
        """Hand a change of an account to this watcher."""
        if self.account in (None, change["account"]):
            self._newest.pop(change["account"], None)
            self._newest[change["account"]] = change
            self._some.set()

    def end(self) -> None:
        """Make `take` return although no state changed."""
        self._some.set()

    async def take(self) -> list[Change]:
        """Wait for changes since the last call and return them. Cancelled: nothing is lost."""
        await self._some.wait()
        return self.take_now()

    def take_now(self) -> list[Change]:
        """The changes since the last call, without a wait."""
        self._some = trio.Event()
        changes = list(self._newest.values())
        self._newest.clear()
        return changes


class StateChanges:
    """Passes changes on to the current watchers."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self.stopped = False

    @contextmanager
    def watching(self, account: str | None) -> Iterator[Watcher]:
        """A watcher that exists while the block runs."""
        watcher = Watcher(account)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def state(self, account: str, state: str, error: dict[str, Any] | None) -> None:
        """Report an account's new state."""
        for watcher in self._watchers:
            watcher.put(
                {
                    "account": account,
                    "type": "state",
                    "key": state,
                    "payload": {"error": error} if error is not None else None,
                    "stateLabel": _LABELS.get(state, {"type": "light", "name": state}),
                }
            )

    def gone(self, account: str) -> None:
        """Report that an account was removed, so that requests waiting for its state check again."""
        for watcher in self._watchers:
            if watcher.account == account:
                watcher.end()

    def stop(self) -> None:
        """End all watchers: the process is about to end."""
        self.stopped = True
        for watcher in self._watchers:
            watcher.end()


_LABELS: dict[str, dict[str, Any]] = {
    "init": {"type": "info", "name": "Initializing", "spinner": True},
    "connecting": {"type": "info", "name": "Connecting", "spinner": True},
    "syncing": {"type": "info", "name": "Syncing", "spinner": True},
    "connected": {"type": "success", "name": "Connected"},
    "authenticationError": {"type": "danger", "name": "Failed"},
    "connectError": {"type": "danger", "name": "Failed"},
    "unset": {"type": "light", "name": "Not syncing"},
    "disconnected": {"type": "warning", "name": "Disconnected"},
    "paused": {"type": "secondary", "name": "Paused"},
}
"""The words in which a page shows each state."""
