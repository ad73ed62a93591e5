"""Reading and changing the settings of the whole engine."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from engine.api.context import Context, carry_through
from engine.api.webhooks import refuse_egress
from engine.errors import Problem
from engine.events.signing import secret_of
from engine.events.target import masked
from engine.schema.events import EVENT_DATA
from engine.schema.servers import MASK
from engine.schema.settings import SettingsQuery, SettingsUpdate

_ONLY_IF_ASKED = ("serviceSecret", "eventTypes")


async def read(context: Context, query: SettingsQuery) -> dict[str, Any]:
    """`GET /v1/settings`: the settings whose names are given as `true`; what is secret in them is masked.

    Without names: all that are more than a secret.
    """
    every = [field.encode_name for field in msgspec.structs.fields(query)]
    asked = [field.encode_name for field in msgspec.structs.fields(query) if getattr(query, field.name)]
    asked = asked or [name for name in every if name not in _ONLY_IF_ASKED]
    shown = {name: _shown(name, context.settings.values.get(name)) for name in asked}
    if unreadable := context.settings.unreadable.intersection(asked):
        shown["unreadable"] = sorted(unreadable)
    return shown


async def update(context: Context, body: SettingsUpdate) -> dict[str, Any]:
    """`POST /v1/settings`: change what is given, answer with its names."""
    values = {
        field.encode_name: msgspec.to_builtins(getattr(body, field.name))
        for field in msgspec.structs.fields(body)
        if getattr(body, field.name) is not UNSET
    }
    _refuse_masks(values, context.settings.values)
    if values.get("webhooks") == "":
        values["webhooks"] = None
    if values.get("webhooks"):
        await refuse_egress(context, "webhooks", values["webhooks"], restricted=False)
    changed = dict(values)
    if changed.get("webhooks") and not changed.get("serviceSecret") and not context.settings.values["serviceSecret"]:
        changed["serviceSecret"] = secret_of(context.services.world.token_bytes(32))
    if changed:
        await carry_through(context.settings.update(changed))
    return {"updated": list(values)}


def _shown(name: str, value: Any) -> Any:
    if name == "eventTypes":
        return list(EVENT_DATA)
    if value is None:
        return None
    if name == "serviceSecret":
        return MASK
    if name == "webhooks":
        return masked(value, MASK)
    if name == "webhooksCustomHeaders":
        return [{**each, "value": MASK} for each in value]
    return value


def _refuse_masks(values: dict[str, Any], stored: dict[str, Any]) -> None:
    """A mask sent back means "as it is" where nothing else changed, and is an error otherwise."""
    fields = []
    for name in ("serviceSecret", "webhooks", "webhooksCustomHeaders"):
        if MASK not in str(values.get(name)):
            continue
        if stored[name] is not None and values[name] == _shown(name, stored[name]):
            del values[name]
        else:
            fields.append({"message": f'"{name}" is a masked value', "key": name, "path": name})
    if fields:
        raise Problem(400, "Invalid input", fields=fields)
