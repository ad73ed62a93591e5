"""Reading and changing the settings of the whole engine."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from engine.accounts.proxy_checks import refuse_local_addresses, refuse_proxy
from engine.api.context import Context
from engine.api.webhooks import refuse_egress
from engine.config import Msa
from engine.edge.client_disconnect import carry_through
from engine.field_errors import FieldErrors, FieldPath, invalid
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.masking import MASK
from engine.model.settings import STORED_NAMES
from engine.model.settings import Settings as Stored
from engine.model.webhook import Header
from engine.schema.events import EVENT_DATA
from engine.schema.fields import CustomHeader
from engine.schema.settings import SECRETS, Secret, Settings, SettingsQuery, SettingsUpdate, SettingsUpdated
from engine.settings import WEBHOOK_SETTINGS
from engine.webhooks.signing import KEY_BYTES, secret_of
from engine.webhooks.target import masked

_TAGS = ("Settings",)
_ONLY_IF_ASKED = ("service_secret", "event_types")


@operation("GET", "/v1/settings", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS)
async def read(context: Context, query: SettingsQuery) -> Settings:
    """Read settings.

    The query names the settings to read. Without names, the answer has all of them except `serviceSecret` and
    `eventTypes`.
    """
    every = [field.name for field in msgspec.structs.fields(query)]
    asked = [name for name in every if getattr(query, name)] or [name for name in every if name not in _ONLY_IF_ASKED]
    door = _door(context.config.msa)
    values = {name: _shown(name, door.get(name, getattr(context.settings.values, name, None))) for name in asked}
    if unreadable := context.settings.unreadable.intersection(asked):
        values["unreadable"] = tuple(sorted(STORED_NAMES[name] for name in unreadable))
    return Settings(**values)


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

    If a change leaves webhooks without effect, `notes` in the answer says why, as does the `state` of the webhook
    `default`.
    """
    changes = changes_of(body)
    _refuse_masks(changes, context.settings.values)
    _refuse_door(changes, context.config.msa)
    if changes.get("timezone"):
        _refuse_no_zone(changes["timezone"])
    for name in ("webhooks", "proxy_url", "auth_server"):
        if changes.get(name) == "":
            changes[name] = None
    await refuse_proxy(context.access, "proxyUrl", changes.get("proxy_url"))
    refuse_local_addresses(context.access, changes.get("local_addresses") or ())
    if changes.get("webhooks"):
        await refuse_egress(context, "webhooks", changes["webhooks"], restricted=False)
    if changes.get("auth_server"):
        await refuse_egress(context, "authServer", changes["auth_server"], restricted=False)
    made = await carry_through(_changed(context, changes)) if changes else None
    notes = _notes(context) if changes.keys() & set(WEBHOOK_SETTINGS) else []
    return SettingsUpdated(
        updated=tuple(STORED_NAMES[name] for name in changes),
        service_secret=UNSET if made is None else made,
        notes=tuple(notes) or UNSET,
    )


def changes_of(body: SettingsUpdate) -> dict[str, Any]:
    """The settings of a request in stored form."""
    changes = {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not UNSET}
    if headers := changes.get("webhooks_custom_headers"):
        changes["webhooks_custom_headers"] = tuple(Header(each.key, each.value) for each in headers)
    return changes


DOOR = {
    "smtp_server_enabled": ("smtpServerEnabled", "enabled"),
    "smtp_server_host": ("smtpServerHost", "host"),
    "smtp_server_port": ("smtpServerPort", "port"),
    "smtp_server_tls": ("smtpServerTLSEnabled", "cert"),
    "smtp_server_auth_enabled": ("smtpServerAuthEnabled", "require_login"),
    "smtp_server_password": ("smtpServerPassword", "password"),
}
"""The settings that `[msa]` of config.toml decides: their names in the API, and there."""


def _door(msa: Msa) -> dict[str, Any]:
    """How the SMTP door is set, as settings."""
    values: dict[str, Any] = {name: getattr(msa, key) for name, (_, key) in DOOR.items()}
    values["smtp_server_tls"] = bool(msa.cert)
    values["smtp_server_password"] = MASK if msa.password else None
    return values


def _refuse_door(changes: dict[str, Any], msa: Msa) -> None:
    """Take settings of the SMTP door out of `changes`. Raises `Problem` 400 for one that would change the door.

    A request may also switch everything off for a closed door, as the forms of EmailEngine's clients do.
    """
    found = FieldErrors()
    for name, value in _door(msa).items():
        given = changes.pop(name, None)
        if given is not None and given != value and (given or msa.enabled):
            told, key = DOOR[name]
            why = f"is set by {key} in the section [msa] of config.toml, and cannot be changed by a request"
            found.add(FieldPath.of(told), why)
    found.refuse()


def _refuse_no_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise invalid("timezone", 'is no time zone; "Europe/Berlin" is one') from error


async def _changed(context: Context, changes: dict[str, Any]) -> str | None:
    """Make the changes; return the secret created with them, if one was needed."""
    async with context.settings.changing:
        after = replace(context.settings.values, **changes)
        if after.service_secret or not (after.webhooks or after.webhooks_enabled):
            await context.settings.update(**changes)
            return None
        secret = secret_of(context.world.token_bytes(KEY_BYTES))
        await context.settings.update(**changes | {"service_secret": secret})
        return secret


def _notes(context: Context) -> list[str]:
    """Why nothing is posted to webhooks, for the answer to a change that has no effect."""
    url = context.settings.values.webhooks
    if not context.settings.webhooks_enabled:
        return ['"webhooksEnabled" is not true, so nothing is posted'] if url else []
    missing = context.webhooks.waits_for(None)
    if missing == "paused":
        return ["the queue `notify` is paused, so nothing is posted, and events wait"]
    if missing == "no url":
        return ['"webhooks" is not set, so nothing is posted']
    if missing == "no events":
        return ['"webhookEvents" names no event of this engine, so nothing is posted, and events wait']
    return []


def _shown(name: str, value: Any) -> Any:
    """A setting in the form of an answer."""
    if name == "event_types":
        return tuple(EVENT_DATA)
    if value is None:
        return None
    return _masked(SECRETS[name], value) if name in SECRETS else value


def _masked(kind: Secret, value: Any) -> Any:
    if kind == "values":
        return tuple(CustomHeader(key=each.key, value=MASK) for each in value)
    return masked(value, MASK) if kind == "login" else MASK


def _refuse_masks(changes: dict[str, Any], stored: Stored) -> None:
    """A mask sent back keeps the value if nothing else changed, and is an error otherwise."""
    found = FieldErrors()
    for name, kind in SECRETS.items():
        given, kept = changes.get(name), getattr(stored, name)
        if kind == "values" and given:
            given = tuple(CustomHeader(key=each.key, value=each.value) for each in given)
        if MASK not in str(given):
            continue
        if kept and given == _masked(kind, kept):
            del changes[name]
        else:
            found.add(FieldPath.of(STORED_NAMES[name]), "is a masked value")
    found.refuse()
