"""Settings, each separately: one that cannot be imported affects no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from engine.api.settings import DOOR, changes_of
from engine.importing.destination import Destination
from engine.importing.item import Item, Refused, refused
from engine.importing.oauth_apps import legacy_settings
from engine.importing.records import NOTHING, parse, request
from engine.importing.source import Stored
from engine.model.settings import STORED_NAMES
from engine.schema.events import EVENT_DATA
from engine.schema.settings import SettingsUpdate
from engine.settings import sealed_setting
from engine.store import settings
from engine.store.writer import Tx

_INTERNAL = frozenset(
    {"idcount", "license", "tract", "subexp", "cookiePassword", "documentStoreVersion", "openAiSettingsVersion"}
)
"""What EmailEngine keeps for itself."""
_ELSEWHERE = {
    "authData": "the login to its pages does not come: engine people link lets you choose one here",
    "totpSeed": "one-time codes do not come: each person sets them up here",
    "totpEnabled": "one-time codes do not come: each person sets them up here",
    "logs": "the protocol log is a member of each account here (`logs`)",
}
_EVENTS = "webhookEvents"
_URL, _ENABLED = "webhooks", "webhooksEnabled"
_ALL = "*"
_NAMES = {field.encode_name: field.name for field in msgspec.structs.fields(SettingsUpdate)}
_DOOR = dict(DOOR.values())


def plan(stored: Stored, to: Destination) -> Iterator[Item]:
    """An item for each setting that is set in EmailEngine."""
    there = settings.load(to.db)
    for name, octets in sorted(stored.settings.items()):
        if name in _INTERNAL or name in legacy_settings():
            continue
        try:
            item = _item(name, parse(octets, to.secrets, name), name in there, stored, to)
        except Refused as error:
            item = refused("setting", name, str(error))
        if item is not None:
            yield item


def _item(name: str, value: Any, is_there: bool, stored: Stored, to: Destination) -> Item | None:
    """None for a setting that is not set, or has the only value allowed here."""
    if value in NOTHING or (value in (False, 0) and _is_only_off(name)):
        return None
    if name in _ELSEWHERE:
        return refused("setting", name, _ELSEWHERE[name])
    if name in _DOOR:
        return refused("setting", name, f"is set by {_DOOR[name]} in the section [msa] of config.toml")
    if name not in _NAMES:
        return refused("setting", name, "there is no such setting here")
    notes: tuple[str, ...] = ()
    if name == _EVENTS and isinstance(value, list):
        lost = [str(each) for each in value if not _is_event(each)]
        value = [each for each in value if _is_event(each)]
        notes = tuple(f"without {each}, an event that is not raised here" for each in lost)
    if name == _URL and _ENABLED not in stored.settings:
        notes = (f"nothing is posted to it until {_ENABLED} is true",)
    changes = changes_of(request(SettingsUpdate, {name: value}))
    built = {
        STORED_NAMES[each]: sealed_setting(each, changed, to.vault)
        for each, changed in changes.items()
        if changed is not UNSET
    }

    def change(tx: Tx, _: object) -> None:
        settings.save(tx, built)

    return to.item("setting", name, is_there, change, "settings.update", notes)


def _is_event(value: Any) -> bool:
    return isinstance(value, str) and (value in EVENT_DATA or value == _ALL)


def _is_only_off(name: str) -> bool:
    """Whether the setting is for a feature that this engine lacks, so that only its off value is allowed."""
    if name not in _NAMES:
        return True
    try:
        request(SettingsUpdate, {name: True})
    except Refused:
        return True
    return False
