"""Finds all sealed values in the journal, knows the field each is sealed for, and seals them again.

Nine tables hold secrets: registrations, OAuth2 apps and gateways (each secret in their JSON), settings (the whole
value), webhook endpoints and sign-ins under way (the whole record), OAuth2 grants (one column for each token), messages
(the URL of the message's own proxy) and people (the key of their one-time codes). A sealed value contains its key's id,
so the journal itself shows which keys it needs. Damaged rows are skipped here; the code that uses them reports them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from engine.errors import DamagedSecret
from engine.store import gateways, grants, oauth_apps, sign_ins
from engine.store.vault import Vault, key_of
from engine.store.writer import Tx

SEALED = "sealed"
"""The only member of a setting whose value is sealed."""

_SECRETS = ("pass", "accessToken")
_PROXY = "proxy"
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
        """The current value, sealed or not."""
        return self.holder[self.member]


def secrets_of(built: dict[str, Any]) -> Iterator[Secret]:
    """The secrets of a registration in JSON form. Those that are not strings are sealed as JSON."""
    for server in ("imap", "smtp"):
        config = built.get(server)
        auth = config.get("auth") if isinstance(config, dict) else None
        if isinstance(auth, dict):
            yield from (Secret(auth, name, f"{server}.{name}", True) for name in _SECRETS if name in auth)
    if built.get(_PROXY):
        yield Secret(built, _PROXY, _PROXY, True)
    for name in _WEBHOOKS:
        if built.get(name):
            yield Secret(built, name, name, False)


def setting_field(name: str) -> str:
    """The field that a setting is sealed for."""
    return f"setting.{name}"


def endpoint_field(endpoint: str) -> str:
    """The field that a webhook endpoint's record is sealed for."""
    return f"webhook.{endpoint}"


def app_field(app: str, member: str) -> str:
    """The field that a secret of an OAuth2 app is sealed for."""
    return f"oauth2.{app}.{member}"


def gateway_field(gateway: str) -> str:
    """The field that a gateway's password is sealed for."""
    return f"gateway.{gateway}.{gateways.SEALED}"


def message_field(queue_id: str) -> str:
    """The field that a message's proxy is sealed for."""
    return f"message.{queue_id}.proxy"


def person_field(person: int) -> str:
    """The field that the key of a person's one-time codes is sealed for."""
    return f"person.{person}.totp"


class SealedValue(msgspec.Struct, frozen=True):
    """One sealed value in the journal. `put` replaces it, inside a transaction."""

    account: str
    field: str
    sealed: str
    put: Callable[[str], object]

    @property
    def name(self) -> str:
        """Its name in log lines and errors."""
        return f"{self.field} of account {self.account}" if self.account else self.field


def key_ids(db: Db) -> set[str]:
    """The ids of the keys that have sealed something in the journal; empty if nothing is sealed."""
    return {key_of(place.sealed) for place in _places(db)}


def seal_anew(db: Db, vault: Vault) -> int:
    """Seal everything that another key sealed again with the vault's current key; return how many values that was.

    Values that cannot be opened stay as they are (`left`).
    """
    count = 0
    for place in _places(db):
        if key_of(place.sealed) == vault.key_id:
            continue
        try:
            secret = vault.open(place.account, place.field, place.sealed)
        except DamagedSecret:
            continue
        place.put(vault.seal(place.account, place.field, secret))
        count += 1
    return count


def left(db: Db, key: str) -> list[str]:
    """Names of the values that are sealed with any key but the one with this id."""
    return [place.name for place in _places(db) if key_of(place.sealed) != key]


def _places(db: Db) -> Iterator[SealedValue]:
    for place in _every_place(db):
        if isinstance(place.sealed, str) and key_of(place.sealed):
            yield place


def _every_place(db: Db) -> Iterator[SealedValue]:
    for account, text in db.execute("SELECT id, record FROM account").fetchall():
        built = _decoded(text)
        for secret in secrets_of(built) if isinstance(built, dict) else ():

            def put_secret(value: str, account: str = account, built: Any = built, secret: Secret = secret) -> None:
                secret.holder[secret.member] = value
                db.execute("UPDATE account SET record = ? WHERE id = ?", (msgspec.json.encode(built), account))

            yield SealedValue(account, secret.field, secret.value, put_secret)
    for name, text in db.execute("SELECT name, value FROM setting").fetchall():
        value = _decoded(text)
        # Earlier versions wrote it unsealed.
        if isinstance(value, dict) and SEALED in value:

            def put_setting(value: str, name: str = name) -> None:
                db.execute("UPDATE setting SET value = ? WHERE name = ?", (msgspec.json.encode({SEALED: value}), name))

            yield SealedValue("", setting_field(name), value[SEALED], put_setting)
    for endpoint, record in db.execute("SELECT id, record FROM webhook").fetchall():

        def put_record(value: str, endpoint: str = endpoint) -> None:
            db.execute("UPDATE webhook SET record = ? WHERE id = ?", (value.encode(), endpoint))

        yield SealedValue("", endpoint_field(endpoint), _text(record), put_record)
    proxies = "SELECT id, account, queue_id, proxy FROM message WHERE proxy IS NOT NULL"
    for message, account, queue_id, proxy in db.execute(proxies).fetchall():

        def put_proxy(value: str, message: int = message) -> None:
            db.execute("UPDATE message SET proxy = ? WHERE id = ?", (value, message))

        yield SealedValue(account, message_field(queue_id), proxy, put_proxy)
    for person, totp in db.execute("SELECT id, totp FROM person WHERE totp IS NOT NULL").fetchall():

        def put_totp(value: str, person: int = person) -> None:
            db.execute("UPDATE person SET totp = ? WHERE id = ?", (value, person))

        yield SealedValue("", person_field(person), totp, put_totp)
    yield from _gateway_places(db)
    yield from _oauth_places(db)


def _gateway_places(db: Db) -> Iterator[SealedValue]:
    for gateway, text in db.execute("SELECT id, record FROM gateway").fetchall():
        built = _decoded(text)
        if isinstance(built, dict) and gateways.SEALED in built:

            def put_password(value: str, gateway: str = gateway, built: Any = built) -> None:
                built[gateways.SEALED] = value
                db.execute("UPDATE gateway SET record = ? WHERE id = ?", (msgspec.json.encode(built), gateway))

            yield SealedValue("", gateway_field(gateway), built[gateways.SEALED], put_password)


def _oauth_places(db: Db) -> Iterator[SealedValue]:
    for app, text in db.execute("SELECT id, record FROM oauth_app").fetchall():
        built = _decoded(text)
        for member in oauth_apps.SEALED if isinstance(built, dict) else ():

            def put_member(value: str, app: str = app, built: Any = built, member: str = member) -> None:
                built[member] = value
                db.execute("UPDATE oauth_app SET record = ? WHERE id = ?", (msgspec.json.encode(built), app))

            yield SealedValue("", app_field(app, member), built.get(member), put_member)
    for column, field in grants.SEALED.items():
        for account, token in db.execute(f"SELECT account, {column} FROM oauth_grant").fetchall():

            def put_token(value: str, account: str = account, column: str = column) -> None:
                db.execute(f"UPDATE oauth_grant SET {column} = ? WHERE account = ?", (value, account))

            yield SealedValue(account, field, token, put_token)
    for state, record in db.execute("SELECT state, record FROM sign_in").fetchall():

        def put_sign_in(value: str, state: str = state) -> None:
            db.execute("UPDATE sign_in SET record = ? WHERE state = ?", (value, state))

        yield SealedValue("", sign_ins.FIELD, record, put_sign_in)


def _decoded(text: Any) -> Any:
    try:
        return msgspec.json.decode(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _text(record: Any) -> str:
    return record.decode("ascii", "replace") if isinstance(record, bytes) else str(record)
