"""Signs the links that the engine gives out, and checks those that come back.

A link carries `data` and `sig`: a JSON object and its HMAC-SHA256, both in base64url, as EmailEngine makes them. The
key is the setting `serviceSecret`, or the engine's own, which it makes when it first needs it and keeps sealed. Links
signed with either are accepted, so those of an EmailEngine whose secret was taken over work here.
"""

from __future__ import annotations

import base64
import hmac

import msgspec

from engine.errors import DamagedSecret
from engine.settings import SettingsBook
from engine.store import sealed, settings
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World

LONGEST = 7_000
"""Maximum characters of `data`: many proxies accept only 8 KiB of a request line."""
_KEY = "formKey"
"""The setting that holds the engine's own key; the API does not show it."""


class LinkKeys:
    """The keys of all links. Randomness comes from `world`."""

    def __init__(self, book: SettingsBook, store: Store, vault: Vault, world: World) -> None:
        self._settings = book
        self._store = store
        self._vault = vault
        self._world = world
        self._own: str | None = None

    async def shared(self) -> str:
        """`serviceSecret`, else the engine's own key. Raises what `Store.admit` raises."""
        return self._settings.values.service_secret or await self.own()

    def shared_in(self, tx: Tx) -> str:
        """The same inside a commit."""
        return self._settings.values.service_secret or self._known() or self._key_in(tx)

    async def own(self) -> str:
        """The engine's own key, which outlives any change of settings. Raises what `Store.admit` raises."""
        key = self._known()
        if key is None:
            key = self._own = await self._store.admit(self._key_in)
        return key

    def opened(self, data: str, sig: str) -> bytes | None:
        """The JSON in a link; None if no key has signed it."""
        if len(data) > LONGEST:
            return None
        text, given = octets(data), octets(sig[:100])
        keys = [key for key in (self._settings.values.service_secret, self._known()) if key]
        return text if any(hmac.compare_digest(_digest(text, key), given) for key in keys) else None

    def _known(self) -> str | None:
        if self._own is None:
            text = settings.load(self._store.reader).get(_KEY)
            if text is not None:
                self._own = self._unsealed(text)
        return self._own

    def _unsealed(self, text: bytes) -> str | None:
        try:
            return self._vault.open("", sealed.setting_field(_KEY), msgspec.json.decode(text)[sealed.SEALED])
        except (DamagedSecret, KeyError, TypeError, ValueError, RecursionError):
            # The links that it signed become invalid; a new key signs the next link.
            return None

    def _key_in(self, tx: Tx) -> str:
        """The engine's own key as this commit finds it, else a new one."""
        text = settings.load(tx).get(_KEY)
        if text is not None and (known := self._unsealed(text)) is not None:
            return known
        key = as_base64(self._world.token_bytes(32))
        settings.save(tx, {_KEY: {sealed.SEALED: self._vault.seal("", sealed.setting_field(_KEY), key)}})
        return key


def query_of(data: bytes, key: str) -> str:
    """The query of a link: `data=…&sig=…`."""
    return f"data={as_base64(data)}&sig={as_base64(_digest(data, key))}"


def octets(text: str) -> bytes:
    """Decode base64url or base64, with or without padding; empty if it is neither."""
    try:
        plain = text.replace("+", "-").replace("/", "_").rstrip("=").encode("ascii")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def as_base64(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _digest(data: bytes, key: str) -> bytes:
    # By name, for OpenSSL does it at once then, in a third of the time.
    return hmac.digest(key.encode(), data, "sha256")
