"""The settings made through the API, in memory and on disk, and who has to hear of a change.

Defaults are EmailEngine's: no URL, webhooks off, every event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.store import settings
from engine.store.writer import Store

DEFAULTS: dict[str, Any] = {
    "webhooks": None,
    "webhooksEnabled": None,
    "webhookEvents": None,
    "serviceUrl": None,
    "deliveryAttempts": None,
    "notifyText": None,
    "notifyTextSize": None,
    "notifyHeaders": None,
}


class SettingsBook:
    """`values` holds every setting that was ever made; `listen` registers a callback for changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[tuple[frozenset[str], Callable[[], None]]] = []
        self.values: dict[str, Any] = {**DEFAULTS, **settings.load(store.reader)}

    def listen(self, call: Callable[[], None], *names: str) -> None:
        """Call `call` now and whenever one of the settings `names` changes."""
        self._listeners.append((frozenset(names), call))
        call()

    async def update(self, values: dict[str, Any]) -> None:
        """Commit `values`, then let everyone know. Raises `StorageFailed`, `StorageFull`."""
        await self._store.commit(lambda tx: settings.save(tx, values))
        changed = {name for name, value in values.items() if self.values[name] != value}
        self.values.update(values)
        for names, call in self._listeners:
            if changed & names:
                call()
