"""The settings made through the API, in memory and on disk, and who has to hear of a change.

Defaults are EmailEngine's: no URL, webhooks off, every event. Those that hold secrets are sealed on disk. One whose
stored value cannot be read costs only what it is about until it is made again: mail waits, or webhooks do, rather than
going another way than the operator said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from engine.errors import DamagedSecret
from engine.schema.settings import SettingsUpdate
from engine.schema.stored import Unreadable, read
from engine.store import sealed, settings
from engine.store.vault import Vault
from engine.store.writer import Store

log = logging.getLogger("engine.settings")

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
WEBHOOK_SETTINGS = (*SEALED, "webhooksEnabled", "webhookEvents")
_UNREADABLE = {"queuePaused": True}
"""What holds in place of a value that cannot be read, where that is not its default."""


class SettingsBook:
    """`values` holds every setting; `unreadable` names those whose stored value says nothing.

    `listen` registers a callback for changes.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        """Load all settings."""
        self._store = store
        self._vault = vault
        self._listeners: list[tuple[frozenset[str], Callable[[], None]]] = []
        self.changing = trio.Lock()
        """For whoever decides what to change by what there is."""
        self.values: dict[str, Any] = dict(DEFAULTS)
        self.unreadable: set[str] = set()
        for name, text in settings.load(store.reader).items():
            if name in DEFAULTS:
                self._load(name, text)

    def listen(self, call: Callable[[], None], *names: str) -> None:
        """Call `call` now and whenever one of the settings `names` changes."""
        self._listeners.append((frozenset(names), call))
        call()

    async def update(self, values: dict[str, Any]) -> None:
        """Commit `values`, then let everyone know. Raises `StorageFailed`, `StorageFull`."""
        stored = {name: self._seal(name, value) for name, value in values.items()}
        await self._store.admit(lambda tx: settings.save(tx, stored))
        changed = {name for name, value in values.items() if self.values[name] != value or name in self.unreadable}
        self.unreadable -= changed
        self.values.update(values)
        for names, call in self._listeners:
            if changed & names:
                call()

    def _seal(self, name: str, value: Any) -> Any:
        if name not in SEALED or value is None:
            return value
        text = msgspec.json.encode(value).decode()
        return {sealed.SEALED: self._vault.seal("", sealed.setting_field(name), text)}

    @property
    def webhooks_enabled(self) -> bool:
        """Whether events go to the URL of the settings, or to those of accounts."""
        return self.values["webhooksEnabled"] is True and self.unreadable.isdisjoint(WEBHOOK_SETTINGS)

    def _load(self, name: str, text: Any) -> None:
        try:
            self.values[name] = _checked(name, self._open(name, msgspec.json.decode(text)))
        except (DamagedSecret, AttributeError, TypeError, ValueError, RecursionError) as error:
            self.unreadable.add(name)
            self.values[name] = _UNREADABLE.get(name, DEFAULTS[name])
            effect = "all mail waits" if name == "queuePaused" else "it is left out"
            effect = "webhooks of the settings wait" if name in WEBHOOK_SETTINGS else effect
            log.error("the stored setting %s cannot be read, so %s until it is set again: %s", name, effect, error)

    def _open(self, name: str, value: Any) -> Any:
        # One that an earlier version wrote is not sealed yet.
        if isinstance(value, dict) and sealed.SEALED in value:
            return msgspec.json.decode(self._vault.open("", sealed.setting_field(name), value[sealed.SEALED]))
        return value


def _checked(name: str, value: Any) -> Any:
    """A stored value, of the type that it must have. Raises `Unreadable`."""
    if name == "queuePaused":
        if value not in (None, True, False):
            raise Unreadable("Expected `bool | null`")
    elif value is not None:
        read(SettingsUpdate, {name: value})
    return value
