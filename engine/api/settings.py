"""Reading and changing the settings of the whole engine."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from engine.api.context import Context
from engine.api.webhooks import refuse_egress
from engine.http.access import Access
from engine.http.audit_entries import Change
from engine.http.client_disconnect import carry_through
from engine.http.field_errors import FieldErrors, FieldPath
from engine.http.operation import operation
from engine.schema.events import EVENT_DATA
from engine.schema.servers import MASK
from engine.schema.settings import Settings, SettingsQuery, SettingsUpdate, SettingsUpdated
from engine.schema.stored import shown
from engine.settings import WEBHOOK_SETTINGS
from engine.webhooks.signing import secret_of
from engine.webhooks.target import masked

_TAGS = ("Settings",)
_ONLY_IF_ASKED = ("serviceSecret", "eventTypes")


@operation("GET", "/v1/settings", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS)
async def read(context: Context, query: SettingsQuery) -> Settings:
    """Read settings: those named, or all that are no secret.

    Named is what is given as `true`; what is secret in it is masked.
    """
    every = [field.encode_name for field in msgspec.structs.fields(query)]
    asked = [field.encode_name for field in msgspec.structs.fields(query) if getattr(query, field.name)]
    asked = asked or [name for name in every if name not in _ONLY_IF_ASKED]
    values: dict[str, Any] = {name: _shown(name, context.settings.values.get(name)) for name in asked}
    if unreadable := context.settings.unreadable.intersection(asked):
        values["unreadable"] = tuple(sorted(unreadable))
    return shown(Settings, values)


@operation(
    "POST",
    "/v1/settings",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    change=Change("settings.update", lambda path, answer: ",".join(answer.updated) or None),
)
async def update(context: Context, body: SettingsUpdate) -> SettingsUpdated:
    """Change settings.

    What is given, answered with its names.
    """
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
    made = await carry_through(_changed(context, values)) if values else None
    notes = _notes(context) if values.keys() & set(WEBHOOK_SETTINGS) else []
    return SettingsUpdated(
        updated=tuple(values),
        service_secret=UNSET if made is None else made,
        notes=tuple(notes) or UNSET,
    )


async def _changed(context: Context, values: dict[str, Any]) -> str | None:
    """Make the change; the secret that was made with it, if one was needed."""
    async with context.settings.changing:
        after = context.settings.values | values
        if after["serviceSecret"] or not (after["webhooks"] or after["webhooksEnabled"]):
            await context.settings.update(values)
            return None
        secret = secret_of(context.services.world.token_bytes(32))
        await context.settings.update(values | {"serviceSecret": secret})
        return secret


def _notes(context: Context) -> list[str]:
    """Why nothing is posted to webhooks, so that a change of their settings that has no effect says so."""
    url = context.settings.values["webhooks"]
    if not context.settings.webhooks_enabled:
        return ['"webhooksEnabled" is not true, so nothing is posted'] if url else []
    missing = context.services.webhooks.waits_for(None)
    if missing == "no url":
        return ['"webhooks" is not set, so nothing is posted']
    if missing == "no events":
        return ['"webhookEvents" names no event of this engine, so nothing is posted, and what happens waits']
    return []


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
    found = FieldErrors()
    for name in ("serviceSecret", "webhooks", "webhooksCustomHeaders"):
        if MASK not in str(values.get(name)):
            continue
        if stored[name] is not None and values[name] == _shown(name, stored[name]):
            del values[name]
        else:
            found.add(FieldPath.of(name), "is a masked value")
    found.refuse()
