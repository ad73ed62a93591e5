"""The settings of the whole engine, as they are stored: each under its own name, None for one never made. *pure*"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.model.webhook import Header


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every setting; None counts as EmailEngine's default: no URL, webhooks off, every event, nothing extra.

    `webhook_events`: names of the events posted, `*` for every one. `delivery_attempts`: attempts at a message that
    asks for no number. `local_addresses`: addresses of this machine, from which the strategies take one for each
    connection. `notify_text_size`: characters of each text in `messageNew`.
    """

    webhooks: str | None = None
    webhooks_enabled: bool | None = None
    webhook_events: tuple[str, ...] | None = None
    service_url: str | None = None
    delivery_attempts: int | None = None
    queue_paused: bool | None = None
    webhooks_custom_headers: tuple[Header, ...] | None = None
    service_secret: str | None = None
    notify_text: bool | None = None
    notify_text_size: int | None = None
    notify_headers: tuple[str, ...] | None = None
    proxy_enabled: bool | None = None
    proxy_url: str | None = None
    local_addresses: tuple[str, ...] | None = None
    imap_strategy: str | None = None
    smtp_strategy: str | None = None
    auth_server: str | None = None
    enable_oauth_tokens_api: bool | None = msgspec.field(name="enableOAuthTokensApi", default=None)


_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}
STORED_NAMES = {name: field.encode_name for name, field in _FIELDS.items()}
"""What each setting is called where it is stored, and by the API."""


def read(name: str, built: Any) -> Any:
    """The value of the setting `name` in decoded JSON. Raises `msgspec.ValidationError`, which quotes none of it."""
    return msgspec.convert(built, _FIELDS[name].type)
