"""OAuth2 apps. Older versions store them as settings, each provider's under its own name, ids included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from engine.api.oauth2 import MOST_APPS, members_of
from engine.importing.destination import Destination
from engine.importing.encryption import Decryption
from engine.importing.item import Item, Refused, refused
from engine.importing.records import known, parse, refuse_empty, request, seconds, unpack
from engine.importing.source import Stored
from engine.oauth.app_book import sealed_record
from engine.oauth.apps import App
from engine.oauth.assertions import service_key
from engine.oauth.providers import Endpoints
from engine.schema.oauth2 import OAuthAppCreate
from engine.store import oauth_apps
from engine.store.writer import Tx

LEGACY = ("gmail", "gmailService", "outlook", "mailRu")
_SETTINGS = {
    "Enabled": "enabled",
    "ClientId": "clientId",
    "ClientSecret": "clientSecret",
    "RedirectUrl": "redirectUrl",
    "Authority": "authority",
    "ExtraScopes": "extraScopes",
    "SkipScopes": "skipScopes",
    "Client": "serviceClient",
    "ClientEmail": "serviceClientEmail",
    "Key": "serviceKey",
}
"""The endings of the settings that describe an app, and its members."""
_OTHER = ("AuthFlag",)
_NEEDS_ENABLING = "it is not enabled, so its accounts get no new tokens: enable it with PUT /v1/oauth2/{}"


def legacy_settings() -> set[str]:
    """The names of the settings that describe apps."""
    return {f"{app}{ending}" for app in LEGACY for ending in (*_SETTINGS, *_OTHER)}


async def plan(stored: Stored, to: Destination) -> AsyncIterator[Item]:
    """An item for each app; imported ones are added to `to.apps`."""
    for id in LEGACY:
        if id not in stored.apps and any(f"{id}{ending}" in stored.settings for ending in ("ClientId", "Client")):
            yield await _item(id, partial(_of_settings, id, stored, to.secrets), to)
    for id, octets in stored.apps.items():
        yield await _item(id, partial(unpack, octets, to.secrets), to)


async def _item(id: str, read: Callable[[], dict[str, Any]], to: Destination) -> Item:
    try:
        refuse_empty(id)
        given = read()
        app = await _app(id, given, to)
    except Refused as error:
        return refused("oauth2 app", id, str(error))
    is_there = id in to.apps
    if not is_there and len(to.apps) >= MOST_APPS:
        return refused("oauth2 app", id, f"at most {MOST_APPS} apps are allowed")
    created = seconds(given.get("created"), to.now)

    def change(tx: Tx, _: object) -> None:
        save = oauth_apps.change if is_there else oauth_apps.add
        save(tx, id, sealed_record(app, to.vault), app.client_secret_expires, created if not is_there else to.now)

    if not is_there or to.replace:
        to.apps[id] = app
    notes = () if app.enabled else (_NEEDS_ENABLING.format(id),)
    return to.item("oauth2 app", id, is_there, change, "oauth2.update" if is_there else "oauth2.create", notes)


async def _app(id: str, given: dict[str, Any], to: Destination) -> App:
    members = known(given, OAuthAppCreate)
    for name in ("extraScopes", "skipScopes"):
        if isinstance(members.get(name), str):
            members[name] = members[name].replace(",", " ").split()
    members = {name: value for name, value in members.items() if value not in (*(None, "", []), False)}
    members.setdefault("name", id)
    body = request(OAuthAppCreate, members)
    made = App(id=id, provider=body.provider, **members_of(body, Endpoints()))
    if made.service_key:
        try:
            await to.world.in_thread(service_key, made.service_key)
        except ValueError as error:
            raise Refused(f"serviceKey {error}") from error
    return made


def _of_settings(id: str, stored: Stored, secrets: Decryption) -> dict[str, Any]:
    found = {
        member: parse(stored.settings[name], secrets, name)
        for ending, member in _SETTINGS.items()
        if (name := f"{id}{ending}") in stored.settings
    }
    # The first versions could not switch off an app.
    return {"name": id, "provider": id, "enabled": True, **found}
