"""The settings made through the API, in memory and on disk, and who has to hear of a change.

Defaults are EmailEngine's: no URL, webhooks off, every event. Those that hold secrets are sealed on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.store import sealed, settings
from engine.store.vault import Vault
from engine.store.writer import Store

DEFAULTS: dict[str, Any] = {
    "webhooks": None,
    "webhooksEnabled": None,
    "webhookEvents": None,
    "serviceUrl": None,
    "deliveryAttempts": None,
    "queuePaused": None,
    "webhooksCustomHeaders": None,
    "serviceSecret": None,
    "notifyText": None,
    "notifyTextSize": None,
    "notifyHeaders": None,
}
SEALED = ("webhooks", "webhooksCustomHeaders", "serviceSecret")


class SettingsBook:
    """`values` holds every setting that was ever made; `listen` registers a callback for changes."""

    def __init__(self, store: Store, vault: Vault) -> None:
        """Load all settings. Raises `ConfigError` when their secrets cannot be opened."""
        self._store = store
        self._vault = vault
        self._listeners: list[tuple[frozenset[str], Callable[[], None]]] = []
        stored = settings.load(store.reader)
        self.values: dict[str, Any] = {**DEFAULTS, **{name: self._open(name, value) for name, value in stored.items()}}

    def listen(self, call: Callable[[], None], *names: str) -> None:
        """Call `call` now and whenever one of the settings `names` changes."""
        self._listeners.append((frozenset(names), call))
        call()

    async def update(self, values: dict[str, Any]) -> None:
        """Commit `values`, then let everyone know. Raises `StorageFailed`, `StorageFull`."""
        stored = {name: self._seal(name, value) for name, value in values.items()}
        await self._store.admit(lambda tx: settings.save(tx, stored))
        changed = {name for name, value in values.items() if self.values[name] != value}
        self.values.update(values)
        for names, call in self._listeners:
            if changed & names:
                call()

    def _seal(self, name: str, value: Any) -> Any:
        if name not in SEALED or value is None:
            return value
        text = msgspec.json.encode(value).decode()
        return {sealed.SEALED: self._vault.seal("", sealed.setting_field(name), text)}

    def _open(self, name: str, value: Any) -> Any:
        # One that an earlier version wrote is not sealed yet.
        if isinstance(value, dict) and sealed.SEALED in value:
            return msgspec.json.decode(self._vault.open("", sealed.setting_field(name), value[sealed.SEALED]))
        return value
