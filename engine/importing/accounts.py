"""Accounts and their credentials. The engine follows them from the import on: earlier mail is not announced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from engine.accounts import registration as registrations
from engine.accounts import registration_changes
from engine.accounts.oauth_registration import SigningIn, asked
from engine.errors import Problem
from engine.events.journal import Journal
from engine.importing.destination import Destination
from engine.importing.item import Item, Refused, refused, words_of
from engine.importing.records import known, parse, plain, request, seconds, unknown
from engine.importing.source import Stored
from engine.isotime import iso
from engine.model.registration import Registration
from engine.oauth import grant as grants
from engine.schema.account import AccountCreate
from engine.schema.servers import ImapConfig, SmtpConfig, Tls
from engine.schema.sign_in import OAuthLogin, OAuthUser
from engine.store import accounts
from engine.store import grants as rows
from engine.store.writer import Tx

_TEXTS = ("name", "email", "proxy", "smtpEhloName", "localAddress", "webhooks", "locale", "tz", "imapIndexer")
_FLAGS = ("copy", "logs")
_JSON = ("subconnections", "webhooksCustomHeaders")
_SERVERS: tuple[tuple[str, type[ImapConfig | SmtpConfig]], ...] = (("imap", ImapConfig), ("smtp", SmtpConfig))
_UNSET = ("", "null", "undefined")
_ONLY_GMAIL = "gmail"
"""The app of accounts that name none: the first versions knew no other."""


def plan(stored: Stored, to: Destination, lost_apps: dict[str, str]) -> Iterator[Item]:
    """An item for each account; imported ones go into `to.accounts`. `lost_apps`: why these apps are not imported."""
    for id, fields in stored.accounts.items():
        try:
            yield _item(id, fields, to, lost_apps)
        except Refused as error:
            yield refused("account", id, str(error))


def _item(id: str, fields: dict[str, bytes], to: Destination, lost_apps: dict[str, str]) -> Item:
    if not fields:
        raise Refused("its record is missing")
    is_there = id in to.accounts
    before = to.accounts.get(id) if to.replace else None
    members, notes = _members(id, fields, to)
    if before is None:
        members["notifyFrom"] = iso(to.now)
    given = request(AccountCreate, members)
    if given.account != id:
        raise Refused("account has blanks around it, which no id may have here")
    signs_in = _signing_in(given, before, to, lost_apps)
    if before is None:
        record = registration_changes.registered(given, id)
    else:
        record = registration_changes.registered_again(before, given)
    if signs_in is not None:
        record = signs_in.applied(record)
        if signs_in.app is not None and not signs_in.app.enabled:
            notes.append(f"waits until its OAuth2 app {signs_in.app.id} is enabled")
    _refuse_twin(id, record, to)
    created = to.now

    def change(tx: Tx, journal: Journal) -> None:
        accounts.save(tx, id, registrations.seal(record, to.vault), created)
        if signs_in is not None and signs_in.grant is not None:
            _keep(tx, msgspec.structs.replace(signs_in.grant, account=id), to)
        if not is_there:
            journal.append(tx, "accountAdded", id, {"account": id})

    if not is_there or to.replace:
        to.accounts[id] = record
    return to.item("account", id, is_there, change, "account.register", tuple(notes))


def _members(id: str, fields: dict[str, bytes], to: Destination) -> tuple[dict[str, Any], list[str]]:
    """The members of a registration, and the members of the record that are not imported. Raises `Refused`."""
    texts = {name: plain(octets, to.secrets, name) for name, octets in fields.items() if name in (*_TEXTS, *_FLAGS)}
    texts = {name: text for name, text in texts.items() if text not in _UNSET}
    members: dict[str, Any] = {"account": id, **texts}
    members |= {name: texts[name] == "true" for name in _FLAGS if name in texts}
    for name in _JSON:
        if fields.get(name) and (value := parse(fields[name], to.secrets, name)) not in (None, []):
            members[name] = value
    notes: list[str] = []
    if (path := _paths(fields.get("path", b""), to)) is not None:
        members["path"] = path
    for name, kind in _SERVERS:
        if (server := _object(fields, name, to)) is not None:
            members[name] = server if server is False else _server(name, kind, server, notes)
    oauth2 = _object(fields, "oauth2", to)
    if oauth2:
        members["oauth2"] = _login(oauth2)
        _without_host(members, notes)
    members.setdefault("name", members.get("email", id))
    if fields.get("syncFrom", b"null") not in (b"", b"null"):
        notes.append("syncFrom does not come: the engine keeps no index of old mail")
    return members, notes


def _object(fields: dict[str, bytes], name: str, to: Destination) -> dict[str, Any] | bool | None:
    """An object of the record, False for one that was switched off, None for none. Raises `Refused`."""
    value = parse(fields[name], to.secrets, name) if fields.get(name) else None
    if value is None or value == {}:
        return None
    if value is False or isinstance(value, dict):
        return value
    raise Refused(f"{name}: must be an object")


def _server(
    name: str, kind: type[ImapConfig | SmtpConfig], server: dict[str, Any] | bool, notes: list[str]
) -> dict[str, Any]:
    given = server if isinstance(server, dict) else {}
    members = known(given, kind)
    notes += unknown(given, kind, f"{name}.", ("partial",))
    if isinstance(tls := members.get("tls"), dict):
        members["tls"] = known(tls, Tls)
        notes += unknown(tls, Tls, f"{name}.tls.")
    if isinstance(auth := members.get("auth"), dict):
        members["auth"] = {key: value for key, value in auth.items() if value not in (None, "") or key == "user"}
    if members.get("disabled") is True:
        notes.append(f"{name} is switched off there, and here")
    return members


def _login(oauth2: dict[str, Any] | bool) -> dict[str, Any]:
    """How it signs in. Raises `Refused`."""
    given = oauth2 if isinstance(oauth2, dict) else {}
    auth = given.get("auth")
    if isinstance(auth, dict) and auth.get("delegatedAccount"):
        raise Refused("oauth2.auth.delegatedAccount is not supported: register it with tokens of its own")
    members = known(given, OAuthLogin, ("authorize", "redirectUrl", "useAuthServer"))
    if given.get("useAuthServer") is True:
        members["useAuthServer"] = True
    if isinstance(auth, dict):
        members["auth"] = known(auth, OAuthUser)
    if members.get("expires") is not None:
        if "accessToken" in members:
            members["expires"] = iso(seconds(members["expires"], 0.0))
        else:
            del members["expires"]
    members.setdefault("provider", _ONLY_GMAIL)
    return members


def _without_host(members: dict[str, Any], notes: list[str]) -> None:
    """The other members that EmailEngine stores in `imap` of an account whose servers are those of its app."""
    for name, _ in _SERVERS:
        server = members.get(name)
        if isinstance(server, dict) and "host" not in server:
            del members[name]
            if server.get("disabled") is True:
                members[name] = False
            lost = [each for each in server if each not in ("disabled", "resyncDelay", "auth", "port", "secure")]
            notes += [f"{name}.{each} does not come: the servers are those of the app" for each in lost]


def _paths(octets: bytes, to: Destination) -> list[str] | str | None:
    text = plain(octets, to.secrets, "path")
    if text in (*_UNSET, "*"):
        return None
    if text.startswith("["):
        value = parse(octets, to.secrets, "path")
        return value if isinstance(value, list) else text
    return text


def _signing_in(
    given: AccountCreate, before: Registration | None, to: Destination, lost_apps: dict[str, str]
) -> SigningIn | None:
    login = given.oauth2
    if not isinstance(login, msgspec.Struct):
        return None
    name = str(login.provider)
    app = to.apps.get(name)
    if app is None:
        why = lost_apps.get(name, "there is none with this id")
        raise Refused(f"its OAuth2 app {name} does not come: {why}")
    try:
        return asked(login, before, _held(str(given.account), to) if before is not None else None, app, to.now)
    except Problem as problem:
        raise Refused(words_of(problem)) from problem


def _held(account: str, to: Destination) -> grants.Grant | None:
    row = rows.get(to.db, account)
    return None if row is None else grants.opened(row, to.vault)


def _keep(tx: Tx, grant: grants.Grant, to: Destination) -> None:
    """Store the tokens, unless the ones here have been renewed from them since: using both could end the grant."""
    row = rows.get(tx, grant.account)
    if row is None or not grants.opened(row, to.vault).has_used_up(grant):
        rows.save(tx, grants.sealed(grant, to.vault))


def _refuse_twin(id: str, record: Registration, to: Destination) -> None:
    """Raise `Refused` if another account has this mailbox; note that this one has it."""
    mailbox = registrations.mailbox_of(record)
    if mailbox is not None and (other := to.mailboxes.setdefault(mailbox, id)) != id:
        raise Refused(f"the account {other} signs in to the same mailbox through the same app")
