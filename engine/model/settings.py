"""The settings of the engine in stored form: each under its own name, None if never set. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.model.webhook import Header


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every setting; None counts as EmailEngine's default: no URL, webhooks off, every event, nothing extra.

    `webhook_events`: names of the events to post, `*` for all. `delivery_attempts`: the number of attempts for a
    message that does not set one. `local_addresses`: this machine's addresses from which the strategies choose for each
    connection. `notify_text_size`: most characters of each text in `messageNew`.
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
    auth_server: str | None = None
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
    imap_proxy_server_enabled: bool | None = None
    enable_api_proxy: bool | None = None
    track_clicks: bool | None = None
    track_opens: bool | None = None
    smtp_server_proxy: bool | None = None
    imap_proxy_server_proxy: bool | None = None
    imap_proxy_server_tls: bool | None = msgspec.field(name="imapProxyServerTLSEnabled", default=None)
    track_sent_messages: bool | None = None
    notification_base_url: str | None = None
    sentry_dsn: str | None = None
    imap_proxy_server_password: str | None = None
    page_brand_name: str | None = None
    smtp_ehlo_name: str | None = None
    http_proxy_url: str | None = None
    queue_keep: int | None = None
    imap_indexer: str | None = None
    enable_o_auth_tokens_api: bool | None = None
    locale: str | None = None
    timezone: str | None = None
    document_store_enabled: bool | None = None
    disable_tokens: bool | None = None
    suppress_bounces: str | None = None
    suppress_complaints: str | None = None
    suppression_days: int | None = None
    suppress_sent_only: bool | None = None
    script_env: str | None = None
    template_header: str | None = None
    template_html_head: str | None = None
    open_ai_api_key: str | None = msgspec.field(name="openAiAPIKey", default=None)
    open_ai_api_url: str | None = msgspec.field(name="openAiAPIUrl", default=None)
    open_ai_model: str | None = None
    open_ai_prompt: str | None = None
    open_ai_pre_processing_fn: str | None = None
    open_ai_temperature: float | None = None
    open_ai_top_p: float | None = None
    open_ai_max_tokens: float | None = None
    imap_proxy_server_host: str | None = None
    imap_proxy_server_port: float | None = None
    gmail_subscription_ttl: float | None = None
    gmail_export_batch_size: float | None = None
    outlook_export_batch_size: float | None = None


_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}
STORED_NAMES = {name: field.encode_name for name, field in _FIELDS.items()}
"""The name of each setting in the store and in the API."""


def read(name: str, built: Any) -> Any:
    """Read the setting `name` from decoded JSON. Raises `msgspec.ValidationError` without quoting the value."""
    return msgspec.convert(built, _FIELDS[name].type)
