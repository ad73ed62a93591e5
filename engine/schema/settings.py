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
    WebUrl,
)

_WEBHOOKS = 'The URL that events are posted to. `null` or `""`: none.'
_ENABLED = "Whether events are posted to it."
_EVENTS = (
    'The names of the events to post; `"*"` is all of them, as is never to have set it. A name that no event has is a '
    "400 that suggests the closest name. While the list names no event that this engine raises, nothing is posted, and "
    "events wait."
)
_SERVICE_URL = "The public URL of this engine, a member of every event. `null`: unknown."
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
    "`dedicated` gives each account one address, `random` picks anew for each connection. `null`: `default`."
)
_IMAP_STRATEGY, _SMTP_STRATEGY = _STRATEGY.format("IMAP"), _STRATEGY.format("SMTP")
_OAUTH_TOKENS = (
    "Whether `GET /v1/account/{account}/oauth-token` shows the access tokens of accounts to tokens with the scope "
    "`oauth-token`."
)
_AUTH_URL = (
    "The server that says how accounts with `useAuthServer` log in: `GET <authServer>?account=<id>&proto=imap|smtp` "
    'answers `{"user", "accessToken" | "pass"}`, with `expires` or `expiresIn` if it likes. User and password before '
    '`@` are sent as Basic. `null` or `""`: none, so that these accounts do not log in.'
)
_CUSTOM_HEADERS = (
    "Headers that accompany every webhook to `webhooks`, and to the URLs of accounts that a token for all accounts set."
)
_SECRET = (
    "The secret that signs these webhooks. `null`, or webhooks without one: the engine creates one and shows it in "
    "that answer, once."
)


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
    enable_oauth_tokens_api: Annotated[bool | UnsetType, Meta(description=_OAUTH_TOKENS)] = msgspec.field(
        name="enableOAuthTokensApi", default=UNSET
    )


_ASK = "`true`: include this setting."


class SettingsQuery(Request, frozen=True, kw_only=True):
    """The settings to read."""

    EXAMPLE = {
        "webhooks": "true",
        "webhooksEnabled": "true",
        "webhookEvents": "true",
        "serviceUrl": "true",
        "deliveryAttempts": "true",
    }

    webhooks: Annotated[bool, Meta(description=_ASK)] = False
    webhooks_enabled: Annotated[bool, Meta(description=_ASK)] = False
    webhook_events: Annotated[bool, Meta(description=_ASK)] = False
    service_url: Annotated[bool, Meta(description=_ASK)] = False
    delivery_attempts: Annotated[bool, Meta(description=_ASK)] = False
    webhooks_custom_headers: Annotated[bool, Meta(description=_ASK)] = False
    service_secret: Annotated[bool, Meta(description=_ASK)] = False
    event_types: Annotated[bool, Meta(description="`true`: include the names of all events.")] = False
    notify_text: Annotated[bool, Meta(description=_ASK)] = False
    notify_text_size: Annotated[bool, Meta(description=_ASK)] = False
    notify_headers: Annotated[bool, Meta(description=_ASK)] = False
    proxy_enabled: Annotated[bool, Meta(description=_ASK)] = False
    proxy_url: Annotated[bool, Meta(description=_ASK)] = False
    local_addresses: Annotated[bool, Meta(description=_ASK)] = False
    imap_strategy: Annotated[bool, Meta(description=_ASK)] = False
    smtp_strategy: Annotated[bool, Meta(description=_ASK)] = False
    auth_server: Annotated[bool, Meta(description=_ASK)] = False
    enable_oauth_tokens_api: Annotated[bool, Meta(description=_ASK)] = msgspec.field(
        name="enableOAuthTokensApi", default=False
    )


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
    enable_oauth_tokens_api: Annotated[bool | UnsetType | None, Meta(description=_OAUTH_TOKENS)] = msgspec.field(
        name="enableOAuthTokensApi", default=UNSET
    )


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
