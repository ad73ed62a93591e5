"""The settings of the whole engine that the API changes. An update leaves absent members as they are.

Each is declared once, as a member of `SettingsUpdate`: its type and bounds, what it does, what of it is secret. The
shapes in which settings are requested and shown are made from that. How it is stored is in `engine/model/settings.py`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import GenericAlias
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import FieldInfo

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
    WebUrl,
)

_WEBHOOKS = 'The URL that events are posted to. `null` or `""`: none.'
_ENABLED = "Whether events are posted to it."
_EVENTS = (
    'The names of the events to post; `"*"` means all of them, as does never having set it. A name that no event has '
    "is a 400 that suggests the closest name. While the list names no event that this engine raises, nothing is "
    "posted, and events wait."
)
_SERVICE_URL = (
    "The public URL of this engine: a member of every event, and where links in mail and to the form lead. `null`: "
    "unknown."
)
_TEXT = "Whether `messageNew` includes the text of the message."
_TEXT_SIZE = "The maximum length of each text in `messageNew`, in characters. `null`: 131,072."
_HEADERS = 'The names of the header fields in `messageNew`; `"*"` is all of them. Empty: none.'
_ATTEMPTS = (
    "The maximum number of attempts for a message that sets none of its own. `null`: `retry.attempts` of config.toml."
)
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
_TOKEN_AUDIT_LOG = (
    "Whether the log of a token (`GET /v1/tokens/{token}/log`) has also its allowed requests that changed nothing. "
    "Changes and refused requests are there in any case."
)
_NOTIFY_WEB_SAFE_HTML = (
    "Whether the HTML in `messageNew` is made harmless, with the pictures that came with the message in it. Only with "
    "`notifyText`."
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
_IMAP_CLIENT_NAME = "The name that the engine sends to IMAP servers (RFC 2971). `null`: its own."
_IMAP_CLIENT_VERSION = "The version sent with that name. `null`: its own; none where `imapClientName` is set."
_IMAP_CLIENT_VENDOR = "The vendor sent with that name. `null`: none."
_IMAP_CLIENT_SUPPORT_URL = "The support URL sent with that name. `null`: none."
_EXPORT_MAX_CONCURRENT = "How many exports of one account run at once; the others are `queued`. `null`: 1."
_EXPORTS_IN_ALL = "How many exports run at once in all. `null`: 3."
_EXPORT_MAX_MESSAGES = (
    "The maximum number of messages in an export; the rest is left out (`truncated`). `null`: 1,250,000."
)
_EXPORT_MAX_SIZE = "The size in bytes beyond which an export is ended (`truncated`). `null`: 5 GiB."
_AUTH_URL = (
    "The server that says how accounts with `useAuthServer` log in: `GET <authServer>?account=<id>&proto=imap|smtp` "
    'answers `{"user", "accessToken" | "pass"}`, optionally with `expires` or `expiresIn`. User and password before '
    '`@` are sent as Basic. `null` or `""`: none, so that these accounts do not log in.'
)
_AUTH_SHOWN = "The server that says how accounts log in, its login masked."
_QUEUE_KEEP = "Only 0, the same as absent: `[retention]` of config.toml decides how long messages are kept."
_DOOR = (
    "The SMTP door: {}. It is set by `{}` in the section `[msa]` of config.toml, which is read at the start. A request "
    "may only repeat it, or give `null`."
)
_LOCALE = (
    "The language of the line above a quoted message, for submissions and accounts without a `locale` of their own. "
    "`null`: English."
)
_TIMEZONE = "The time zone of the date in that line, if neither has a `tz`. `null`: UTC."
_TRACK_OPENS = (
    "Whether `trackOpen` reports opens of messages that do not set `trackOpens`. `null`: `trackSentMessages`."
)
_TRACK_CLICKS = (
    "Whether `trackClick` reports followed links in messages that do not set `trackClicks`. `null`: "
    "`trackSentMessages`."
)
_TRACK_SENT = "Both `trackOpens` and `trackClicks`, where these were never set. `null`: `false`."
_CUSTOM_HEADERS = (
    "Headers that accompany every webhook to `webhooks`, and to account URLs that were set with a token for all "
    "accounts."
)
_SECRET = (
    "The secret that signs these webhooks. `null`, or setting `webhooks` without a secret: the engine creates one and "
    "shows it once, in that answer."
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
Secret = Literal["all", "login", "values"]
"""What of a setting is secret: all of it, the login in a URL, the values of headers."""


def _about(text: str, *, shown: str = "", secret: Secret | None = None, examples: list[Any] | None = None) -> Meta:
    """What a setting does; `shown` is what an answer says about it, if that differs."""
    return Meta(description=text, examples=examples, extra={"shown": shown or text, "secret": secret})


_SuppressionList = Literal["account", "engine"]
_SUPPRESS = (
    "Whether a recipient who {} is suppressed, and for whom: `account` for the account that heard of it, `engine` for "
    "all accounts. `null`: neither."
)
_SENT_ONLY = (
    "Whether only bounces and complaints count whose message is still in the outbox, so that no one can have a "
    "recipient suppressed by a report that is made up."
)
_NOT_YET = "the engine does not do this yet"
_Switch = Annotated[bool, Meta(extra={"check": Check.UNSUPPORTED}, extra_json_schema={"const": False})]
_Switched = Annotated[
    _Switch | UnsetType | None,
    _about(f"Only `false` or `null`, the same as absent: {_NOT_YET}.", shown=f"`false` or `null`: {_NOT_YET}."),
]
_Empty = Annotated[str, Meta(extra={"check": Check.UNSUPPORTED}, extra_json_schema={"maxLength": 0})]
_Nothing = Annotated[
    _Empty | UnsetType | None,
    _about(f'Only `null` or `""`, the same as absent: {_NOT_YET}.', shown=f'`null` or `""`: {_NOT_YET}.'),
]
_Zero = Annotated[float, Meta(extra={"check": Check.UNSUPPORTED}, extra_json_schema={"const": 0})]
_NoNumber = Annotated[
    _Zero | UnsetType | None,
    _about(f"Only `null` or 0, the same as absent: {_NOT_YET}.", shown=f"`null` or 0: {_NOT_YET}."),
]
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
        _about(_WEBHOOKS, secret="login", examples=["https://app.example.com/hooks/mail"]),
    ] = UNSET
    webhooks_enabled: Annotated[bool | UnsetType, _about(_ENABLED)] = UNSET
    webhook_events: Annotated[
        EventNames | UnsetType,
        _about(_EVENTS, examples=[["messageSent", "messageFailed"]]),
    ] = UNSET
    service_url: Annotated[WebUrl | UnsetType | None, _about(_SERVICE_URL, examples=["https://mail.example.com"])] = (
        UNSET
    )
    delivery_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None, _about(_ATTEMPTS, examples=[10])
    ] = UNSET
    webhooks_custom_headers: Annotated[
        Annotated[tuple[CustomHeader, ...], Meta(max_length=100)] | UnsetType,
        _about(_CUSTOM_HEADERS, shown=_CUSTOM_HEADERS + " Their values are masked.", secret="values"),
    ] = UNSET
    service_secret: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024, extra={"check": Check.LINE})] | UnsetType | None,
        _about(_SECRET, shown=_SECRET + " Masked.", secret="all"),
    ] = UNSET
    notify_text: Annotated[bool | UnsetType, _about(_TEXT)] = UNSET
    notify_text_size: Annotated[
        Annotated[int, Meta(ge=0, le=2**20)] | UnsetType | None, _about(_TEXT_SIZE, examples=[65536])
    ] = UNSET
    notify_headers: Annotated[
        Annotated[tuple[FieldName, ...], Meta(max_length=100)] | UnsetType,
        _about(_HEADERS, examples=[["List-ID"]]),
    ] = UNSET
    proxy_enabled: Annotated[bool | UnsetType, _about(_PROXY_ENABLED)] = UNSET
    proxy_url: Annotated[ProxyUrl | UnsetType | None, _about(_PROXY_URL, shown=_PROXY_URL_SHOWN, secret="login")] = (
        UNSET
    )
    local_addresses: Annotated[
        Annotated[tuple[Ip, ...], SINGLE, Meta(max_length=256)] | UnsetType, _about(_LOCAL_ADDRESSES)
    ] = UNSET
    imap_strategy: Annotated[Strategy | UnsetType | None, _about(_IMAP_STRATEGY)] = UNSET
    smtp_strategy: Annotated[Strategy | UnsetType | None, _about(_SMTP_STRATEGY)] = UNSET
    auth_server: Annotated[
        Annotated[
            str, Meta(max_length=2048, extra={"check": Check.WEB_URL_OR_EMPTY}, extra_json_schema={"format": "uri"})
        ]
        | UnsetType
        | None,
        _about(_AUTH_URL, shown=_AUTH_SHOWN, secret="login", examples=["https://app.example.com/mail-logins"]),
    ] = UNSET
    notify_web_safe_html: Annotated[bool | UnsetType, _about(_NOTIFY_WEB_SAFE_HTML)] = UNSET
    notify_attachments: Annotated[bool | UnsetType, _about(_NOTIFY_ATTACHMENTS)] = UNSET
    notify_attachment_size: Annotated[_Size | UnsetType | None, _about(_NOTIFY_ATTACHMENT_SIZE)] = UNSET
    notify_calendar_events: Annotated[bool | UnsetType, _about(_NOTIFY_CALENDAR_EVENTS)] = UNSET
    inbox_new_only: Annotated[bool | UnsetType, _about(_INBOX_NEW_ONLY)] = UNSET
    resolve_gmail_categories: Annotated[bool | UnsetType, _about(_RESOLVE_GMAIL_CATEGORIES)] = UNSET
    ignore_mail_cert_errors: Annotated[bool | UnsetType, _about(_IGNORE_MAIL_CERT_ERRORS)] = UNSET
    imap_client_name: Annotated[_ClientLine | UnsetType | None, _about(_IMAP_CLIENT_NAME)] = UNSET
    imap_client_version: Annotated[_ClientLine | UnsetType | None, _about(_IMAP_CLIENT_VERSION)] = UNSET
    imap_client_vendor: Annotated[_ClientLine | UnsetType | None, _about(_IMAP_CLIENT_VENDOR)] = UNSET
    imap_client_support_url: Annotated[_SupportUrl | UnsetType | None, _about(_IMAP_CLIENT_SUPPORT_URL)] = UNSET
    export_max_concurrent: Annotated[_Few | UnsetType | None, _about(_EXPORT_MAX_CONCURRENT)] = UNSET
    export_max_global_concurrent: Annotated[_Few | UnsetType | None, _about(_EXPORTS_IN_ALL)] = UNSET
    export_max_messages: Annotated[_Messages | UnsetType | None, _about(_EXPORT_MAX_MESSAGES)] = UNSET
    export_max_size: Annotated[_Octets | UnsetType | None, _about(_EXPORT_MAX_SIZE)] = UNSET
    generate_email_summary: _Switched = UNSET
    open_ai_generate_embeddings: _Switched = UNSET
    mcp_enabled: _Switched = UNSET
    mcp_o_auth_enabled: _Switched = UNSET
    token_audit_log: Annotated[bool | UnsetType, _about(_TOKEN_AUDIT_LOG)] = UNSET
    http_proxy_enabled: _Switched = UNSET
    sentry_enabled: _Switched = UNSET
    imap_proxy_server_enabled: _Switched = UNSET
    enable_api_proxy: _Switched = UNSET
    track_clicks: Annotated[bool | UnsetType, _about(_TRACK_CLICKS)] = UNSET
    track_opens: Annotated[bool | UnsetType, _about(_TRACK_OPENS)] = UNSET
    smtp_server_proxy: _Switched = UNSET
    imap_proxy_server_proxy: _Switched = UNSET
    imap_proxy_server_tls: _Switched = msgspec.field(name="imapProxyServerTLSEnabled", default=UNSET)
    track_sent_messages: Annotated[bool | UnsetType, _about(_TRACK_SENT)] = UNSET
    notification_base_url: _Nothing = UNSET
    sentry_dsn: _Nothing = UNSET
    imap_proxy_server_password: _Nothing = UNSET
    page_brand_name: _Nothing = UNSET
    smtp_ehlo_name: _Nothing = UNSET
    http_proxy_url: _Nothing = UNSET
    queue_keep: Annotated[
        Annotated[int, Meta(ge=0, le=0)] | UnsetType,
        _about(_QUEUE_KEEP, shown="0 or `null`."),
    ] = UNSET
    imap_indexer: Annotated[
        Literal["full"] | UnsetType,
        _about("Only `full`, the same as absent.", shown="`full` or `null`."),
    ] = UNSET
    enable_o_auth_tokens_api: Annotated[bool | UnsetType, _about(_OAUTH_TOKENS)] = UNSET
    smtp_server_enabled: Annotated[bool | UnsetType | None, _about(_DOOR.format("whether it is open", "enabled"))] = (
        UNSET
    )
    smtp_server_host: Annotated[
        str | UnsetType | None, _about(_DOOR.format("the address at which it listens", "host"))
    ] = UNSET
    smtp_server_port: Annotated[int | UnsetType | None, _about(_DOOR.format("its port", "port"))] = UNSET
    smtp_server_tls: Annotated[bool | UnsetType | None, _about(_DOOR.format("whether it offers TLS", "cert"))] = (
        msgspec.field(name="smtpServerTLSEnabled", default=UNSET)
    )
    smtp_server_auth_enabled: Annotated[
        bool | UnsetType | None, _about(_DOOR.format("whether a client must log in", "require_login"))
    ] = UNSET
    smtp_server_password: Annotated[
        str | UnsetType | None, _about(_DOOR.format("the password that all accounts share there, masked", "password"))
    ] = UNSET
    locale: Annotated[
        Annotated[str, Meta(max_length=100, extra={"check": Check.LINE})] | UnsetType | None,
        _about(_LOCALE, examples=["de"]),
    ] = UNSET
    timezone: Annotated[
        Annotated[str, Meta(max_length=100, extra={"check": Check.LINE})] | UnsetType | None,
        _about(_TIMEZONE, examples=["Europe/Berlin"]),
    ] = UNSET
    document_store_enabled: _Switched = UNSET
    disable_tokens: _Switched = UNSET
    suppress_bounces: Annotated[
        _SuppressionList | UnsetType | None, _about(_SUPPRESS.format("bounces for good, because of its address,"))
    ] = UNSET
    suppress_complaints: Annotated[_SuppressionList | UnsetType | None, _about(_SUPPRESS.format("complains"))] = UNSET
    suppression_days: Annotated[
        Annotated[int, Meta(ge=1, le=36_500)] | UnsetType | None,
        _about("For how many days these recipients are suppressed. `null`: until they are removed."),
    ] = UNSET
    suppress_sent_only: Annotated[bool | UnsetType, _about(_SENT_ONLY)] = UNSET
    script_env: _Nothing = UNSET
    template_header: _Nothing = UNSET
    template_html_head: _Nothing = UNSET
    open_ai_api_key: _Nothing = msgspec.field(name="openAiAPIKey", default=UNSET)
    open_ai_api_url: _Nothing = msgspec.field(name="openAiAPIUrl", default=UNSET)
    open_ai_model: _Nothing = UNSET
    open_ai_prompt: _Nothing = UNSET
    open_ai_pre_processing_fn: _Nothing = UNSET
    open_ai_temperature: _NoNumber = UNSET
    open_ai_top_p: _NoNumber = UNSET
    open_ai_max_tokens: _NoNumber = UNSET
    imap_proxy_server_host: _Nothing = UNSET
    imap_proxy_server_port: _NoNumber = UNSET
    gmail_subscription_ttl: _NoNumber = UNSET
    gmail_export_batch_size: _NoNumber = UNSET
    outlook_export_batch_size: _NoNumber = UNSET


def _notes(field: FieldInfo) -> dict[str, Any]:
    """What `_about` says of a setting."""
    notes: dict[str, Any] = get_args(field.type)[-1].extra
    return notes


def _bare(kind: Any) -> Any:
    """A type without the bounds that a request must keep to: what is stored may be older than they are."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _bare(inside[0])
    if origin is Literal:
        return type(inside[0])
    if origin is tuple:
        return GenericAlias(tuple, (_bare(inside[0]), ...))
    return functools.reduce(operator.or_, map(_bare, inside)) if inside else kind


def _shown_as(field: FieldInfo) -> Any:
    """The type of a setting in an answer: `null` where it was never set."""
    return Annotated[_bare(field.type) | None, Meta(description=_notes(field)["shown"])]


def _every(of: Callable[[FieldInfo], Any], default: Any, **more: Any) -> list[tuple[str, Any, Any]]:
    """A field for each setting, of the type that `of` gives, and `more` after them, all absent by default."""
    named = [
        (each.name, of(each), msgspec.field(name=each.encode_name, default=default))
        for each in msgspec.structs.fields(SettingsUpdate)
    ]
    return named + [(name, kind, default) for name, kind in more.items()]


_Asked = Annotated[bool, Meta(description="`true`: include this setting.")]
_EVENT_TYPES = Meta(description="The names of all events.")
_Query: Any = msgspec.defstruct(
    "_Query",
    _every(
        lambda field: _Asked,
        False,
        event_types=Annotated[bool, Meta(description="`true`: include the names of all events.")],
    ),
    bases=(Request,),
    namespace={"__doc__": "Which settings to read."},
    frozen=True,
    kw_only=True,
)
_Shown: Any = msgspec.defstruct(
    "_Shown",
    _every(
        _shown_as,
        UNSET,
        event_types=Annotated[tuple[str, ...] | UnsetType, _EVENT_TYPES],
        unreadable=Annotated[
            tuple[str, ...] | UnsetType,
            Meta(
                description="The settings whose stored value the engine cannot read: set them again.",
                examples=[["webhooks"]],
            ),
        ],
    ),
    bases=(Response,),
    namespace={"__doc__": "The settings as they are shown."},
    frozen=True,
    kw_only=True,
)


class SettingsQuery(_Query):  # type: ignore[misc]  # its members are those of the settings
    """The settings to read."""

    EXAMPLE = {
        "webhooks": "true",
        "webhooksEnabled": "true",
        "webhookEvents": "true",
        "serviceUrl": "true",
        "deliveryAttempts": "true",
    }


class Settings(_Shown):  # type: ignore[misc]  # likewise
    """The settings you asked for. Secrets are masked."""

    EXAMPLE = {
        "webhooks": "http://127.0.0.1:3499/hook",
        "webhooksEnabled": True,
        "webhookEvents": ["*"],
        "serviceUrl": None,
        "deliveryAttempts": None,
    }


SECRETS: dict[str, Secret] = {
    each.name: secret for each in msgspec.structs.fields(SettingsUpdate) if (secret := _notes(each)["secret"])
}
"""The settings that hold a secret, each with what of it an answer masks."""


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
