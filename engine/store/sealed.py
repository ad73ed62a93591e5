"""Where sealed values lie in the journal, under which names they were sealed, and sealing them all anew.

Three tables hold secrets: registrations (in their JSON, one by one), settings (the whole value) and webhook endpoints
(the whole record). What is sealed says with which key, so the journal itself tells which keys it needs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

from engine.store.vault import Vault, key_of
from engine.store.writer import Tx

SEALED = "sealed"
"""The one member of a setting whose value is sealed."""

_SECRETS = ("pass", "accessToken")
_WEBHOOKS = ("webhooks", "webhooksCustomHeaders")
"""A URL may hold a password, and headers often hold a token."""

Db = sqlite3.Connection | Tx


class Secret(msgspec.Struct, frozen=True):
    """One secret in a registration: the object that holds it, the member's name, and the field it is sealed for."""

    holder: dict[str, Any]
    member: str
    field: str
    is_text: bool

    @property
    def value(self) -> Any:
        """What is there, sealed or not."""
        return self.holder[self.member]


def secrets_of(built: dict[str, Any]) -> Iterator[Secret]:
    """The secrets of a registration as JSON. Those that are no text are sealed as JSON."""
    for server in ("imap", "smtp"):
        config = built.get(server)
        auth = config.get("auth") if isinstance(config, dict) else None
        if isinstance(auth, dict):
            yield from (Secret(auth, name, f"{server}.{name}", True) for name in _SECRETS if name in auth)
    for name in _WEBHOOKS:
        if built.get(name):
            yield Secret(built, name, name, False)


def setting_field(name: str) -> str:
    """The field a setting is sealed for."""
    return f"setting.{name}"


def endpoint_field(endpoint: str) -> str:
    """The field a webhook endpoint's record is sealed for."""
    return f"webhook.{endpoint}"


def key_ids(db: Db) -> set[str]:
    """The ids of the keys that open everything in the journal; empty when nothing in it is sealed."""
    found = {key_of(secret.value) for _, built in _registrations(db) for secret in secrets_of(built)}
    found |= {key_of(value[SEALED]) for _, value in _settings(db)}
    found |= {key_of(record) for _, record in _endpoints(db)}
    return found - {""}


def seal_anew(db: Db, vault: Vault) -> int:
    """Seal what another key sealed with the one the vault seals with now; how many values there were.

    Raises `ConfigError` when a value cannot be opened; the transaction must then be undone.
    """
    count = 0

    def again(account: str, field: str, value: str) -> str:
        nonlocal count
        if key_of(value) == vault.key_id:
            return value
        count += 1
        return vault.seal(account, field, vault.open(account, field, value))

    for account, built in _registrations(db):
        for secret in secrets_of(built):
            secret.holder[secret.member] = again(account, secret.field, secret.value)
        db.execute("UPDATE account SET record = ? WHERE id = ?", (msgspec.json.encode(built), account))
    for name, value in _settings(db):
        anew = {SEALED: again("", setting_field(name), value[SEALED])}
        db.execute("UPDATE setting SET value = ? WHERE name = ?", (msgspec.json.encode(anew), name))
    for endpoint, record in _endpoints(db):
        anew_record = again("", endpoint_field(endpoint), record).encode()
        db.execute("UPDATE webhook SET record = ? WHERE id = ?", (anew_record, endpoint))
    return count


def _registrations(db: Db) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those that can be read; the others are left alone, and shown, by whoever loads them."""
    for account, record in db.execute("SELECT id, record FROM account").fetchall():
        try:
            built = msgspec.json.decode(record)
        except (TypeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(built, dict):
            yield account, built


def _settings(db: Db) -> Iterator[tuple[str, dict[str, str]]]:
    for name, text in db.execute("SELECT name, value FROM setting").fetchall():
        value = msgspec.json.decode(text)
        # One that an earlier version wrote is not sealed yet.
        if isinstance(value, dict) and SEALED in value:
            yield name, value


def _endpoints(db: Db) -> Iterator[tuple[str, str]]:
    for endpoint, record in db.execute("SELECT id, record FROM webhook").fetchall():
        if record:
            yield endpoint, record.decode()
