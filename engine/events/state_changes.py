"""What accounts' states change to, as it happens: for those who watch, without numbers and without a past.

Each watcher keeps at most the newest state of each account until it takes it, so one that does not read costs no more
than there are accounts. Whoever must not miss anything reads the journal instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

Change = dict[str, Any]


class Watcher:
    """One who watches. `account` is the one it may see, None for all."""

    def __init__(self, account: str | None) -> None:
        self.account = account
        self._newest: dict[str, Change] = {}
        self._some = trio.Event()

    def put(self, change: Change) -> None:
        """A change of an account."""
        if self.account in (None, change["account"]):
            self._newest.pop(change["account"], None)
            self._newest[change["account"]] = change
            self._some.set()

    def end(self) -> None:
        """Have `take` return, though no state changed."""
        self._some.set()

    async def take(self) -> list[Change]:
        """What changed since the last time, waited for. Cancelled: nothing is lost."""
        await self._some.wait()
        self._some = trio.Event()
        changes = list(self._newest.values())
        self._newest.clear()
        return changes


class StateChanges:
    """Passes changes on to whoever watches now."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self.stopped = False

    @contextmanager
    def watching(self, account: str | None) -> Iterator[Watcher]:
        """A watcher for as long as the block runs."""
        watcher = Watcher(account)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def state(self, account: str, state: str, error: dict[str, Any] | None) -> None:
        """An account's state is another one now."""
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
        """An account was removed: who waits for a change of it looks again."""
        for watcher in self._watchers:
            if watcher.account == account:
                watcher.end()

    def stop(self) -> None:
        """The process is about to end."""
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
"""How a page shows each state."""
