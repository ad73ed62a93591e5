"""The routes of accounts and messages: their own proxy and local address, else those of the settings.

A message's proxy overrides its account's, which overrides the one of the settings. The same goes for local addresses;
for several, the settings have a strategy. If a stored route cannot be read, the `Route` has a `fault`: nothing is ever
dialled by a route other than the one requested.
"""

from __future__ import annotations

from msgspec.structs import replace

from engine.errors import DamagedSecret
from engine.model.message import Message
from engine.model.registration import Registration, ServerName
from engine.model.settings import STORED_NAMES
from engine.proxies.proxy import parse
from engine.proxies.route import DIRECT, Route, dedicated
from engine.settings import SettingsBook
from engine.store.sealed import message_field
from engine.store.vault import Vault


class Routes:
    """The routes of all accounts, by the current registrations, messages and settings."""

    def __init__(self, settings: SettingsBook, vault: Vault) -> None:
        self._settings = settings
        self._vault = vault

    @property
    def local_addresses(self) -> tuple[str, ...]:
        """The local addresses listed in the settings."""
        return self._settings.values.local_addresses or ()

    def of_account(self, record: Registration, server: ServerName | None) -> Route:
        """The route to one of an account's servers; None: to its OAuth2 provider, by the strategy for IMAP."""
        return _joined(self._by_proxy(record), self._from_here(record, server))

    def of_message(self, message: Message, record: Registration) -> Route:
        """The route of a message to its account's SMTP server."""
        by_proxy, from_here = self._by_proxy(record), self._from_here(record, "smtp")
        if message.local_address is not None:
            from_here = Route(local=(message.local_address,))
        if message.proxy is not None:
            try:
                by_proxy = _through(self.proxy_url(message) or "", "The message's proxy")
            except DamagedSecret as error:
                return Route(fault=f"The stored proxy of the message cannot be read: {error}")
        return _joined(by_proxy, from_here)

    def of_gateway(self) -> Route:
        """The route to a gateway, unless an account or a message has its own."""
        return _joined(self.of_settings(), self._by_strategy("smtp", None))

    def of_settings(self) -> Route:
        """The route of connections that belong to no account: through the proxy of the settings, if it is enabled."""
        if fault := self._unreadable("proxy_enabled", "proxy_url"):
            return Route(fault=fault)
        values = self._settings.values
        if values.proxy_enabled is not True or not values.proxy_url:
            return DIRECT
        return _through(values.proxy_url, "The setting proxyUrl")

    def proxy_url(self, message: Message) -> str | None:
        """The URL of a message's own proxy, including its login. Raises `DamagedSecret`."""
        if message.proxy is None:
            return None
        return self._vault.open(message.account, message_field(message.queue_id), message.proxy)

    def seal(self, account: str, queue_id: str, url: str) -> str:
        """Seal the URL of a message's own proxy for the store."""
        return self._vault.seal(account, message_field(queue_id), url)

    def _by_proxy(self, record: Registration) -> Route:
        return _through(record.proxy, "The account's proxy") if record.proxy else self.of_settings()

    def _from_here(self, record: Registration, server: ServerName | None) -> Route:
        if record.local_address:
            return Route(local=(record.local_address,))
        return self._by_strategy(server or "imap", record.account)

    def _by_strategy(self, server: ServerName, account: str | None) -> Route:
        if fault := self._unreadable("local_addresses", f"{server}_strategy"):
            return Route(fault=fault)
        values = self._settings.values
        strategy = values.imap_strategy if server == "imap" else values.smtp_strategy
        if strategy == "dedicated" and account is not None:
            return Route(local=dedicated(self.local_addresses, account))
        if strategy == "random" and self.local_addresses:
            return Route(local=self.local_addresses, at_random=True)
        return DIRECT

    def _unreadable(self, *names: str) -> str:
        """The fault if one of these settings cannot be read; empty if all can."""
        broken = [STORED_NAMES[name] for name in names if name in self._settings.unreadable]
        return f"The stored setting {broken[0]} cannot be read: make it again" if broken else ""


def _joined(by_proxy: Route, from_here: Route) -> Route:
    return replace(from_here, proxy=by_proxy.proxy, fault=by_proxy.fault or from_here.fault)


def _through(url: str, what: str) -> Route:
    try:
        return Route(parse(url))
    except ValueError as error:
        return Route(fault=f"{what} cannot be used: it {error}")
