"""By which way an account's connections leave, and a message's: what is given for itself, else what the settings say.

The proxy of a message goes before that of its account, and that before the one of the settings; so do local addresses,
where the settings have a strategy for several. A way that is stored and cannot be read is a `Route` with a `fault`:
nothing is dialled by another way than was asked for.
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


def of_account(record: Registration, server: ServerName | None, settings: SettingsBook) -> Route:
    """The way to one of an account's servers; None: to what it asks for tokens."""
    return _joined(_by_proxy(record, settings), _from_here(record, server, settings))


def of_message(message: Message, record: Registration, settings: SettingsBook, vault: Vault) -> Route:
    """The way of a message to its account's SMTP server."""
    by_proxy, from_here = _by_proxy(record, settings), _from_here(record, "smtp", settings)
    if message.local_address is not None:
        from_here = Route(local=(message.local_address,))
    if message.proxy is not None:
        try:
            url = vault.open(message.account, message_field(message.queue_id), message.proxy)
        except DamagedSecret as error:
            return Route(fault=f"The stored proxy of the message cannot be read: {error}")
        by_proxy = _through(url, "The message's proxy")
    return _joined(by_proxy, from_here)


def of_settings(settings: SettingsBook) -> Route:
    """The way of what belongs to no account: through the proxy of the settings, if it is enabled."""
    if fault := _unreadable(settings, "proxy_enabled", "proxy_url"):
        return Route(fault=fault)
    values = settings.values
    if values.proxy_enabled is not True or not values.proxy_url:
        return DIRECT
    return _through(values.proxy_url, "The setting proxyUrl")


def _by_proxy(record: Registration, settings: SettingsBook) -> Route:
    return _through(record.proxy, "The account's proxy") if record.proxy else of_settings(settings)


def _from_here(record: Registration, server: ServerName | None, settings: SettingsBook) -> Route:
    if record.local_address:
        return Route(local=(record.local_address,))
    if server is None:
        return DIRECT
    if fault := _unreadable(settings, "local_addresses", f"{server}_strategy"):
        return Route(fault=fault)
    values = settings.values
    addresses = values.local_addresses or ()
    strategy = values.imap_strategy if server == "imap" else values.smtp_strategy
    if strategy == "dedicated":
        return Route(local=dedicated(addresses, record.account))
    if strategy == "random" and addresses:
        return Route(local=addresses, at_random=True)
    return DIRECT


def _joined(by_proxy: Route, from_here: Route) -> Route:
    return replace(from_here, proxy=by_proxy.proxy, fault=by_proxy.fault or from_here.fault)


def _unreadable(settings: SettingsBook, *names: str) -> str:
    """The fault where one of these settings cannot be read, empty where all can."""
    broken = [STORED_NAMES[name] for name in names if name in settings.unreadable]
    return f"The stored setting {broken[0]} cannot be read: make it again" if broken else ""


def _through(url: str, what: str) -> Route:
    try:
        return Route(parse(url))
    except ValueError as error:
        return Route(fault=f"{what} cannot be used: it {error}")
