"""The settings made through the API, in memory and on disk, and the callbacks for changes.

Settings with secrets are sealed on disk. If a stored value cannot be read, only what it controls is affected until it
is set again: mail or webhooks wait, rather than being sent in a way that the operator did not choose.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from engine.errors import DamagedSecret
from engine.model.settings import STORED_NAMES, Settings, read
from engine.schema.settings import SECRETS
from engine.store import sealed, settings
from engine.store.vault import Vault
from engine.store.writer import Store

log = logging.getLogger("engine.settings")

WEBHOOK_SETTINGS = (
    "webhooks",
    "webhooks_custom_headers",
    "service_secret",
    "webhooks_enabled",
    "webhook_events",
    "inbox_new_only",
)
ROUTE_SETTINGS = ("proxy_enabled", "proxy_url", "local_addresses", "imap_strategy", "smtp_strategy")
"""The settings that determine routes to mail servers."""
_UNREADABLE = {"queue_paused": True}
"""The values to use instead of unreadable ones, if not the default."""


class SettingsBook:
    """`values` has every setting; `unreadable` names those whose stored value cannot be read.

    `listen` registers a callback for changes. Settings are named as in `Settings`.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        """Load all settings."""
        self._store = store
        self._vault = vault
        self._listeners: list[tuple[frozenset[str], Callable[[], None]]] = []
        self.changing = trio.Lock()
        """Hold it while a change depends on the current values."""
        self.unreadable: set[str] = set()
        stored = settings.load(store.reader)
        self.values = Settings(
            **{name: self._load(name, stored[known]) for name, known in STORED_NAMES.items() if known in stored}
        )

    def listen(self, call: Callable[[], None], *names: str) -> None:
        """Call `call` now and whenever one of the settings `names` changes."""
        self._listeners.append((frozenset(names), call))
        call()

    async def update(self, **changes: Any) -> None:
        """Commit the given settings, then call the callbacks. Raises `StorageFailed`, `StorageFull`."""
        stored = {STORED_NAMES[name]: sealed_setting(name, value, self._vault) for name, value in changes.items()}
        await self._store.admit(lambda tx: settings.save(tx, stored))
        changed = {
            name for name, value in changes.items() if getattr(self.values, name) != value or name in self.unreadable
        }
        self.unreadable -= changed
        self.values = msgspec.structs.replace(self.values, **changes)
        for names, call in self._listeners:
            if changed & names:
                call()

    @property
    def webhooks_enabled(self) -> bool:
        """Whether events are posted to the URLs of the settings and of accounts."""
        return self.values.webhooks_enabled is True and self.unreadable.isdisjoint(WEBHOOK_SETTINGS)

    def _load(self, name: str, text: Any) -> Any:
        try:
            return read(name, self._open(name, msgspec.json.decode(text)))
        except (DamagedSecret, AttributeError, TypeError, ValueError, RecursionError) as error:
            self.unreadable.add(name)
            effect = "all mail waits" if name == "queue_paused" else "it is left out"
            effect = "webhooks of the settings wait" if name in WEBHOOK_SETTINGS else effect
            effect = "accounts that go by it are not connected" if name in ROUTE_SETTINGS else effect
            known = STORED_NAMES[name]
            log.error("the stored setting %s cannot be read, so %s until it is set again: %s", known, effect, error)
            return _UNREADABLE.get(name)

    def _open(self, name: str, value: Any) -> Any:
        # Earlier versions wrote it unsealed.
        if isinstance(value, dict) and sealed.SEALED in value:
            field = sealed.setting_field(STORED_NAMES[name])
            return msgspec.json.decode(self._vault.open("", field, value[sealed.SEALED]))
        return value


def sealed_setting(name: str, value: Any, vault: Vault) -> Any:
    """A setting in stored form: sealed if it holds a secret."""
    if name not in SECRETS or value is None:
        return value
    text = msgspec.json.encode(value).decode()
    return {sealed.SEALED: vault.seal("", sealed.setting_field(STORED_NAMES[name]), text)}
