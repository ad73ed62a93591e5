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
    webhooks_paused: bool | None = None
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
    notify_web_safe_html: bool | None = None
    notify_attachments: bool | None = None
    notify_attachment_size: int | None = None
    notify_calendar_events: bool | None = None
    inbox_new_only: bool | None = None
    resolve_gmail_categories: bool | None = None
    ignore_mail_cert_errors: bool | None = None
    imap_client_name: str | None = None
    imap_client_version: str | None = None
    imap_client_vendor: str | None = None
    imap_client_support_url: str | None = None
    export_max_concurrent: int | None = None
    export_max_global_concurrent: int | None = None
    export_max_messages: int | None = None
    export_max_size: int | None = None
    generate_email_summary: bool | None = None
    open_ai_generate_embeddings: bool | None = None
    mcp_enabled: bool | None = None
    mcp_o_auth_enabled: bool | None = None
    token_audit_log: bool | None = None
    http_proxy_enabled: bool | None = None
    sentry_enabled: bool | None = None
    smtp_server_enabled: bool | None = None
    imap_proxy_server_enabled: bool | None = None
    enable_api_proxy: bool | None = None
    track_clicks: bool | None = None
    track_opens: bool | None = None
    queue_keep: int | None = None
    imap_indexer: str | None = None


_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}
STORED_NAMES = {name: field.encode_name for name, field in _FIELDS.items()}
"""What each setting is called where it is stored, and by the API."""


def read(name: str, built: Any) -> Any:
    """The value of the setting `name` in decoded JSON. Raises `msgspec.ValidationError`, which quotes none of it."""
    return msgspec.convert(built, _FIELDS[name].type)
