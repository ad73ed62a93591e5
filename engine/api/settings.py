"""Reading and changing the settings of the whole engine."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from engine.api.context import Context, carry_through
from engine.schema.settings import SettingsQuery, SettingsUpdate


async def read(context: Context, query: SettingsQuery) -> dict[str, Any]:
    """`GET /v1/settings`: the settings whose names are given as `true`."""
    asked = [field.encode_name for field in msgspec.structs.fields(query) if getattr(query, field.name)]
    return {name: context.settings.values[name] for name in asked}


async def update(context: Context, body: SettingsUpdate) -> dict[str, Any]:
    """`POST /v1/settings`: change what is given, answer with its names."""
    values = {
        field.encode_name: getattr(body, field.name)
        for field in msgspec.structs.fields(body)
        if getattr(body, field.name) is not UNSET
    }
    if values.get("webhooks") == "":
        values["webhooks"] = None
    if values:
        await carry_through(context.settings.update(values))
    return {"updated": list(values)}
