"""The settings of the whole engine that the API changes. An update leaves absent members as they are."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import (
    SINGLE,
    Check,
    CustomHeader,
    EventNames,
    FieldName,
    Ip,
    ProxyUrl,
    Request,
    Response,
    Unsupported,
    WebUrl,
)

_WEBHOOKS = 'The URL that events are posted to. `null` or `""`: none.'
_ENABLED = "Whether events are posted to it."
_EVENTS = (
    'The names of the events to post; `"*"` is all of them, as is never to have set it. A name that no event has is a '
    "400 that suggests the closest name. While the list names no event that this engine raises, nothing is posted, and "
    "events wait."
)
_SERVICE_URL = (
    "The public URL of this engine: a member of every event, and where links in mail and to the form lead. `null`: "
    "unknown."
)
_TEXT = "Whether `messageNew` includes the text of the message."
_TEXT_SIZE = "The most characters of each text in `messageNew`. `null`: 131,072."
_HEADERS = 'The names of the header fields in `messageNew`; `"*"` is all of them. Empty: none.'
_ATTEMPTS = "The most attempts for a message that does not say so itself. `null`: `retry.attempts` of config.toml."
_PROXY_ENABLED = (
    "Whether the engine dials the mail servers of accounts without a proxy of their own through `proxyUrl`."
)
_PROXY_URL = (
    "The proxy for these accounts: `socks5://`, `socks4://` or `http://`, with user and password before `@` if it asks "
    'for them. `null` or `""`: none.'
)
_PROXY_URL_SHOWN = "The proxy for accounts without one of their own, with user and password masked. `null`: none."
_LOCAL_ADDRESSES = (
    "The IP addresses of this machine from which connections to mail servers may leave. If there are any, every "
    "`localAddress` must be one of them. Empty: any address may be used, and the strategies have no effect."
)
_STRATEGY = (
    "How the engine picks one of `localAddresses` for a connection to an {} server: `default` leaves it to the system, "
    "`dedicated` gives each account one address, `random` picks one for each connection. `null`: `default`."
)
_IMAP_STRATEGY, _SMTP_STRATEGY = _STRATEGY.format("IMAP"), _STRATEGY.format("SMTP")
_OAUTH_TOKENS = (
    "Whether `GET /v1/account/{account}/oauth-token` shows the access tokens of accounts to tokens with the scope "
    "`oauth-token`."
)
_NOTIFY_WEB_SAFE_HTML = (
    "Whether the HTML in `messageNew` is made harmless, with the pictures that came with the message in it. It is "
    "told with `notifyText` only."
)
_NOTIFY_ATTACHMENTS = (
    "Whether `messageNew` includes the content of attached files, in base64, as far as the event has room."
)
_NOTIFY_ATTACHMENT_SIZE = (
    "The largest file, in bytes as encoded in the message, that is included. `null`: any that the event has room for."
)
_NOTIFY_CALENDAR_EVENTS = "Whether `messageNew` includes the invitations in a message, as `calendarEvents`."
_INBOX_NEW_ONLY = (
    "Whether `messageNew` goes to the webhook of the settings, and to those of accounts, only for mail in the inbox."
)
_RESOLVE_GMAIL_CATEGORIES = (
    "Whether `messageNew` names the tab of Gmail's inbox that a message is in, as `category`: one more search at the "
    "server for each category."
)
_IGNORE_MAIL_CERT_ERRORS = (
    "Whether mail servers may have certificates that are not trusted or name another host, where the account does not"
    " say otherwise in `tls.rejectUnauthorized`."
)
_IMAP_CLIENT_NAME = "The name that the engine gives itself at IMAP servers (RFC 2971). `null`: its own."
_IMAP_CLIENT_VERSION = "The version beside that name. `null`: its own; none where `imapClientName` is set."
_IMAP_CLIENT_VENDOR = "The vendor beside that name. `null`: none."
_IMAP_CLIENT_SUPPORT_URL = "The URL for questions beside that name. `null`: none."
_EXPORT_MAX_CONCURRENT = "How many exports of one account run at once; the others are `queued`. `null`: 1."
_EXPORTS_IN_ALL = "How many exports run at once in all. `null`: 3."
_EXPORT_MAX_MESSAGES = "The most messages in an export; what is beyond is left out (`truncated`). `null`: 1,250,000."
_EXPORT_MAX_SIZE = "The size in bytes beyond which an export is ended (`truncated`). `null`: 5 GiB."
_AUTH_URL = (
    "The server that says how accounts with `useAuthServer` log in: `GET <authServer>?account=<id>&proto=imap|smtp` "
    'answers `{"user", "accessToken" | "pass"}`, with `expires` or `expiresIn` if it likes. User and password before '
    '`@` are sent as Basic. `null` or `""`: none, so that these accounts do not log in.'
)
_TRACK_OPENS = (
    "Whether `trackOpen` tells when a message is opened that does not say itself. `null`: `trackSentMessages`."
)
_TRACK_CLICKS = "Whether `trackClick` tells when a link is followed. `null`: `trackSentMessages`."
_TRACK_SENT = "Both `trackOpens` and `trackClicks`, where these were never set. `null`: `false`."
_CUSTOM_HEADERS = (
    "Headers that accompany every webhook to `webhooks`, and to the URLs of accounts that a token for all accounts set."
)
_SECRET = (
    "The secret that signs these webhooks. `null`, or webhooks without one: the engine creates one and shows it in "
    "that answer, once."
)


_Size = Annotated[int, Meta(ge=0, le=2**30)]
_ClientLine = Annotated[str, Meta(max_length=1024, extra={"check": Check.LINE})]
_SupportUrl = Annotated[
    str,
    Meta(
        max_length=1024,
        extra={"check": Check.LINE},
        extra_json_schema={"format": "uri"},
        examples=["mailto:x@example.com"],
    ),
]
_Switched = Annotated[bool | UnsetType | None, Meta(description="`false` or `null`: the engine does not do this yet.")]
_Nothing = Annotated[
    Annotated[str, Meta(max_length=0)] | UnsetType | None,
    Meta(description='Only `null` or `""`, the same as absent: the engine does not do this yet.'),
]
_NothingShown = Annotated[str | UnsetType | None, Meta(description='`null` or `""`: the engine does not do this yet.')]
_Few = Annotated[int, Meta(ge=1, le=100)]
_Messages = Annotated[int, Meta(ge=1, le=10_000_000)]
_Octets = Annotated[int, Meta(ge=1, le=2**50)]
Strategy = Literal["default", "dedicated", "random"]


class SettingsUpdate(Request, frozen=True, kw_only=True):
    """A change of settings. Absent members stay as they are."""

    EXAMPLE = {"webhooks": "http://127.0.0.1:3499/hook", "webhooksEnabled": True, "webhookEvents": ["*"]}

    webhooks: Annotated[
        Annotated[
            str, Meta(max_length=2048, extra={"check": Check.WEB_URL_OR_EMPTY}, extra_json_schema={"format": "uri"})
        ]
        | UnsetType
        | None,
        Meta(description=_WEBHOOKS, examples=["https://app.example.com/hooks/mail"]),
    ] = UNSET
    webhooks_enabled: Annotated[bool | UnsetType, Meta(description=_ENABLED)] = UNSET
    webhook_events: Annotated[
        EventNames | UnsetType,
        Meta(description=_EVENTS, examples=[["messageSent", "messageFailed"]]),
    ] = UNSET
    service_url: Annotated[
        WebUrl | UnsetType | None, Meta(description=_SERVICE_URL, examples=["https://mail.example.com"])
    ] = UNSET
    delivery_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None, Meta(description=_ATTEMPTS, examples=[10])
    ] = UNSET
    webhooks_custom_headers: Annotated[
        Annotated[tuple[CustomHeader, ...], Meta(max_length=100)] | UnsetType, Meta(description=_CUSTOM_HEADERS)
    ] = UNSET
    service_secret: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024, extra={"check": Check.LINE})] | UnsetType | None,
        Meta(description=_SECRET),
    ] = UNSET
    notify_text: Annotated[bool | UnsetType, Meta(description=_TEXT)] = UNSET
    notify_text_size: Annotated[
        Annotated[int, Meta(ge=0, le=2**20)] | UnsetType | None, Meta(description=_TEXT_SIZE, examples=[65536])
    ] = UNSET
    notify_headers: Annotated[
        Annotated[tuple[FieldName, ...], Meta(max_length=100)] | UnsetType,
        Meta(description=_HEADERS, examples=[["List-ID"]]),
    ] = UNSET
    proxy_enabled: Annotated[bool | UnsetType, Meta(description=_PROXY_ENABLED)] = UNSET
    proxy_url: Annotated[ProxyUrl | UnsetType | None, Meta(description=_PROXY_URL)] = UNSET
    local_addresses: Annotated[
        Annotated[tuple[Ip, ...], SINGLE, Meta(max_length=256)] | UnsetType, Meta(description=_LOCAL_ADDRESSES)
    ] = UNSET
    imap_strategy: Annotated[Strategy | UnsetType | None, Meta(description=_IMAP_STRATEGY)] = UNSET
    smtp_strategy: Annotated[Strategy | UnsetType | None, Meta(description=_SMTP_STRATEGY)] = UNSET
    auth_server: Annotated[
        Annotated[
            str, Meta(max_length=2048, extra={"check": Check.WEB_URL_OR_EMPTY}, extra_json_schema={"format": "uri"})
        ]
        | UnsetType
        | None,
        Meta(description=_AUTH_URL, examples=["https://app.example.com/mail-logins"]),
    ] = UNSET
    notify_web_safe_html: Annotated[bool | UnsetType, Meta(description=_NOTIFY_WEB_SAFE_HTML)] = UNSET
    notify_attachments: Annotated[bool | UnsetType, Meta(description=_NOTIFY_ATTACHMENTS)] = UNSET
    notify_attachment_size: Annotated[_Size | UnsetType | None, Meta(description=_NOTIFY_ATTACHMENT_SIZE)] = UNSET
    notify_calendar_events: Annotated[bool | UnsetType, Meta(description=_NOTIFY_CALENDAR_EVENTS)] = UNSET
    inbox_new_only: Annotated[bool | UnsetType, Meta(description=_INBOX_NEW_ONLY)] = UNSET
    resolve_gmail_categories: Annotated[bool | UnsetType, Meta(description=_RESOLVE_GMAIL_CATEGORIES)] = UNSET
    ignore_mail_cert_errors: Annotated[bool | UnsetType, Meta(description=_IGNORE_MAIL_CERT_ERRORS)] = UNSET
    imap_client_name: Annotated[_ClientLine | UnsetType | None, Meta(description=_IMAP_CLIENT_NAME)] = UNSET
    imap_client_version: Annotated[_ClientLine | UnsetType | None, Meta(description=_IMAP_CLIENT_VERSION)] = UNSET
    imap_client_vendor: Annotated[_ClientLine | UnsetType | None, Meta(description=_IMAP_CLIENT_VENDOR)] = UNSET
    imap_client_support_url: Annotated[_SupportUrl | UnsetType | None, Meta(description=_IMAP_CLIENT_SUPPORT_URL)] = (
        UNSET
    )
    export_max_concurrent: Annotated[_Few | UnsetType | None, Meta(description=_EXPORT_MAX_CONCURRENT)] = UNSET
    export_max_global_concurrent: Annotated[_Few | UnsetType | None, Meta(description=_EXPORTS_IN_ALL)] = UNSET
    export_max_messages: Annotated[_Messages | UnsetType | None, Meta(description=_EXPORT_MAX_MESSAGES)] = UNSET
    export_max_size: Annotated[_Octets | UnsetType | None, Meta(description=_EXPORT_MAX_SIZE)] = UNSET
    generate_email_summary: Unsupported | UnsetType = UNSET
    open_ai_generate_embeddings: Unsupported | UnsetType = UNSET
    mcp_enabled: Unsupported | UnsetType = UNSET
    mcp_o_auth_enabled: Unsupported | UnsetType = UNSET
    token_audit_log: Unsupported | UnsetType = UNSET
    http_proxy_enabled: Unsupported | UnsetType = UNSET
    sentry_enabled: Unsupported | UnsetType = UNSET
    smtp_server_enabled: Unsupported | UnsetType = UNSET
    imap_proxy_server_enabled: Unsupported | UnsetType = UNSET
    enable_api_proxy: Unsupported | UnsetType = UNSET
    track_clicks: Annotated[bool | UnsetType, Meta(description=_TRACK_CLICKS)] = UNSET
    track_opens: Annotated[bool | UnsetType, Meta(description=_TRACK_OPENS)] = UNSET
    smtp_server_proxy: Unsupported | UnsetType = UNSET
    smtp_server_auth_enabled: Unsupported | UnsetType = UNSET
    smtp_server_tls: Unsupported | UnsetType = msgspec.field(name="smtpServerTLSEnabled", default=UNSET)
    imap_proxy_server_proxy: Unsupported | UnsetType = UNSET
    imap_proxy_server_tls: Unsupported | UnsetType = msgspec.field(name="imapProxyServerTLSEnabled", default=UNSET)
    track_sent_messages: Annotated[bool | UnsetType, Meta(description=_TRACK_SENT)] = UNSET
    notification_base_url: _Nothing = UNSET
    sentry_dsn: _Nothing = UNSET
    smtp_server_password: _Nothing = UNSET
    imap_proxy_server_password: _Nothing = UNSET
    page_brand_name: _Nothing = UNSET
    smtp_ehlo_name: _Nothing = UNSET
    http_proxy_url: _Nothing = UNSET
    queue_keep: Annotated[
        Annotated[int, Meta(ge=0, le=0)] | UnsetType,
        Meta(description="Only 0, the same as absent: `[retention]` of config.toml rules how long messages are kept."),
    ] = UNSET
    imap_indexer: Annotated[
        Literal["full"] | UnsetType,
        Meta(description="Only `full`, the same as absent."),
    ] = UNSET
    enable_o_auth_tokens_api: Annotated[bool | UnsetType, Meta(description=_OAUTH_TOKENS)] = UNSET


_Asked = Annotated[bool, Meta(description="`true`: include this setting.")]


class SettingsQuery(Request, frozen=True, kw_only=True):
    """The settings to read."""

    EXAMPLE = {
        "webhooks": "true",
        "webhooksEnabled": "true",
        "webhookEvents": "true",
        "serviceUrl": "true",
        "deliveryAttempts": "true",
    }

    webhooks: _Asked = False
    webhooks_enabled: _Asked = False
    webhook_events: _Asked = False
    service_url: _Asked = False
    delivery_attempts: _Asked = False
    webhooks_custom_headers: _Asked = False
    service_secret: _Asked = False
    event_types: Annotated[bool, Meta(description="`true`: include the names of all events.")] = False
    notify_text: _Asked = False
    notify_text_size: _Asked = False
    notify_headers: _Asked = False
    proxy_enabled: _Asked = False
    proxy_url: _Asked = False
    local_addresses: _Asked = False
    imap_strategy: _Asked = False
    smtp_strategy: _Asked = False
    auth_server: _Asked = False
    notify_web_safe_html: _Asked = False
    notify_attachments: _Asked = False
    notify_attachment_size: _Asked = False
    notify_calendar_events: _Asked = False
    inbox_new_only: _Asked = False
    resolve_gmail_categories: _Asked = False
    ignore_mail_cert_errors: _Asked = False
    imap_client_name: _Asked = False
    imap_client_version: _Asked = False
    imap_client_vendor: _Asked = False
    imap_client_support_url: _Asked = False
    export_max_concurrent: _Asked = False
    export_max_global_concurrent: _Asked = False
    export_max_messages: _Asked = False
    export_max_size: _Asked = False
    generate_email_summary: _Asked = False
    open_ai_generate_embeddings: _Asked = False
    mcp_enabled: _Asked = False
    mcp_o_auth_enabled: _Asked = False
    token_audit_log: _Asked = False
    http_proxy_enabled: _Asked = False
    sentry_enabled: _Asked = False
    smtp_server_enabled: _Asked = False
    imap_proxy_server_enabled: _Asked = False
    enable_api_proxy: _Asked = False
    track_clicks: _Asked = False
    track_opens: _Asked = False
    smtp_server_proxy: _Asked = False
    smtp_server_auth_enabled: _Asked = False
    smtp_server_tls: _Asked = msgspec.field(name="smtpServerTLSEnabled", default=False)
    imap_proxy_server_proxy: _Asked = False
    imap_proxy_server_tls: _Asked = msgspec.field(name="imapProxyServerTLSEnabled", default=False)
    track_sent_messages: _Asked = False
    notification_base_url: _Asked = False
    sentry_dsn: _Asked = False
    smtp_server_password: _Asked = False
    imap_proxy_server_password: _Asked = False
    page_brand_name: _Asked = False
    smtp_ehlo_name: _Asked = False
    http_proxy_url: _Asked = False
    queue_keep: _Asked = False
    imap_indexer: _Asked = False
    enable_o_auth_tokens_api: _Asked = False


class Settings(Response, frozen=True, kw_only=True):
    """The settings you asked for. Secrets are masked."""

    EXAMPLE = {
        "webhooks": "http://127.0.0.1:3499/hook",
        "webhooksEnabled": True,
        "webhookEvents": ["*"],
        "serviceUrl": None,
        "deliveryAttempts": None,
    }

    webhooks: Annotated[str | UnsetType | None, Meta(description=_WEBHOOKS)] = UNSET
    webhooks_enabled: Annotated[bool | UnsetType | None, Meta(description=_ENABLED)] = UNSET
    webhook_events: Annotated[tuple[str, ...] | UnsetType | None, Meta(description=_EVENTS)] = UNSET
    service_url: Annotated[str | UnsetType | None, Meta(description=_SERVICE_URL)] = UNSET
    delivery_attempts: Annotated[int | UnsetType | None, Meta(description=_ATTEMPTS)] = UNSET
    webhooks_custom_headers: Annotated[
        tuple[CustomHeader, ...] | UnsetType | None, Meta(description=_CUSTOM_HEADERS + " Their values are masked.")
    ] = UNSET
    service_secret: Annotated[str | UnsetType | None, Meta(description=_SECRET + " Masked.")] = UNSET
    event_types: Annotated[tuple[str, ...] | UnsetType, Meta(description="The names of all events.")] = UNSET
    unreadable: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(
            description="The settings whose stored value the engine cannot read: set them again.",
            examples=[["webhooks"]],
        ),
    ] = UNSET
    notify_text: Annotated[bool | UnsetType | None, Meta(description=_TEXT)] = UNSET
    notify_text_size: Annotated[int | UnsetType | None, Meta(description=_TEXT_SIZE)] = UNSET
    notify_headers: Annotated[tuple[str, ...] | UnsetType | None, Meta(description=_HEADERS)] = UNSET
    proxy_enabled: Annotated[bool | UnsetType | None, Meta(description=_PROXY_ENABLED)] = UNSET
    proxy_url: Annotated[str | UnsetType | None, Meta(description=_PROXY_URL_SHOWN)] = UNSET
    local_addresses: Annotated[tuple[str, ...] | UnsetType | None, Meta(description=_LOCAL_ADDRESSES)] = UNSET
    imap_strategy: Annotated[str | UnsetType | None, Meta(description=_IMAP_STRATEGY)] = UNSET
    smtp_strategy: Annotated[str | UnsetType | None, Meta(description=_SMTP_STRATEGY)] = UNSET
    auth_server: Annotated[
        str | UnsetType | None, Meta(description="The server that says how accounts log in, its login masked.")
    ] = UNSET
    notify_web_safe_html: Annotated[bool | UnsetType | None, Meta(description=_NOTIFY_WEB_SAFE_HTML)] = UNSET
    notify_attachments: Annotated[bool | UnsetType | None, Meta(description=_NOTIFY_ATTACHMENTS)] = UNSET
    notify_attachment_size: Annotated[int | UnsetType | None, Meta(description=_NOTIFY_ATTACHMENT_SIZE)] = UNSET
    notify_calendar_events: Annotated[bool | UnsetType | None, Meta(description=_NOTIFY_CALENDAR_EVENTS)] = UNSET
    inbox_new_only: Annotated[bool | UnsetType | None, Meta(description=_INBOX_NEW_ONLY)] = UNSET
    resolve_gmail_categories: Annotated[bool | UnsetType | None, Meta(description=_RESOLVE_GMAIL_CATEGORIES)] = UNSET
    ignore_mail_cert_errors: Annotated[bool | UnsetType | None, Meta(description=_IGNORE_MAIL_CERT_ERRORS)] = UNSET
    imap_client_name: Annotated[str | UnsetType | None, Meta(description=_IMAP_CLIENT_NAME)] = UNSET
    imap_client_version: Annotated[str | UnsetType | None, Meta(description=_IMAP_CLIENT_VERSION)] = UNSET
    imap_client_vendor: Annotated[str | UnsetType | None, Meta(description=_IMAP_CLIENT_VENDOR)] = UNSET
    imap_client_support_url: Annotated[str | UnsetType | None, Meta(description=_IMAP_CLIENT_SUPPORT_URL)] = UNSET
    export_max_concurrent: Annotated[int | UnsetType | None, Meta(description=_EXPORT_MAX_CONCURRENT)] = UNSET
    export_max_global_concurrent: Annotated[int | UnsetType | None, Meta(description=_EXPORTS_IN_ALL)] = UNSET
    export_max_messages: Annotated[int | UnsetType | None, Meta(description=_EXPORT_MAX_MESSAGES)] = UNSET
    export_max_size: Annotated[int | UnsetType | None, Meta(description=_EXPORT_MAX_SIZE)] = UNSET
    generate_email_summary: _Switched = UNSET
    open_ai_generate_embeddings: _Switched = UNSET
    mcp_enabled: _Switched = UNSET
    mcp_o_auth_enabled: _Switched = UNSET
    token_audit_log: _Switched = UNSET
    http_proxy_enabled: _Switched = UNSET
    sentry_enabled: _Switched = UNSET
    smtp_server_enabled: _Switched = UNSET
    imap_proxy_server_enabled: _Switched = UNSET
    enable_api_proxy: _Switched = UNSET
    track_clicks: Annotated[bool | UnsetType | None, Meta(description=_TRACK_CLICKS)] = UNSET
    track_opens: Annotated[bool | UnsetType | None, Meta(description=_TRACK_OPENS)] = UNSET
    smtp_server_proxy: _Switched = UNSET
    smtp_server_auth_enabled: _Switched = UNSET
    smtp_server_tls: _Switched = msgspec.field(name="smtpServerTLSEnabled", default=UNSET)
    imap_proxy_server_proxy: _Switched = UNSET
    imap_proxy_server_tls: _Switched = msgspec.field(name="imapProxyServerTLSEnabled", default=UNSET)
    track_sent_messages: Annotated[bool | UnsetType | None, Meta(description=_TRACK_SENT)] = UNSET
    notification_base_url: _NothingShown = UNSET
    sentry_dsn: _NothingShown = UNSET
    smtp_server_password: _NothingShown = UNSET
    imap_proxy_server_password: _NothingShown = UNSET
    page_brand_name: _NothingShown = UNSET
    smtp_ehlo_name: _NothingShown = UNSET
    http_proxy_url: _NothingShown = UNSET
    queue_keep: Annotated[int | UnsetType | None, Meta(description="0 or `null`.")] = UNSET
    imap_indexer: Annotated[str | UnsetType | None, Meta(description="`full` or `null`.")] = UNSET
    enable_o_auth_tokens_api: Annotated[bool | UnsetType | None, Meta(description=_OAUTH_TOKENS)] = UNSET


class SettingsUpdated(Response, frozen=True, kw_only=True):
    """The settings are changed."""

    EXAMPLE = {"updated": ["webhooks", "webhooksEnabled", "webhookEvents"], "serviceSecret": "whsec_…"}

    updated: Annotated[tuple[str, ...], Meta(description="Their names.", examples=[["webhooks", "webhooksEnabled"]])]
    service_secret: Annotated[
        str | UnsetType,
        Meta(
            description="The secret that the engine created for these webhooks, shown only here. The receiver needs "
            "it.",
            examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        ),
    ] = UNSET
    notes: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(
            description="Why the webhooks that you just set are not posted.",
            examples=[['"webhooksEnabled" is not true, so nothing is posted']],
        ),
    ] = UNSET
