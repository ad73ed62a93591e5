"""Settings of the whole engine that are made through the API. What is absent in an update stays as it is."""

from __future__ import annotations

from typing import Annotated, Literal

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

_WEBHOOKS = 'URL that events are posted to. `null` or `""`: nowhere.'
_ENABLED = "Whether events are posted at all."
_EVENTS = (
    'Names of the events posted; `"*"` is every one, as if never set. While they name no event of this engine, '
    "nothing is posted, and what happens waits."
)
_SERVICE_URL = "URL under which this engine is known outside; stands in every event. `null`: unknown."
_TEXT = "Whether `messageNew` holds the text of the message."
_TEXT_SIZE = "How many characters of each text it holds at most. `null`: 131,072."
_HEADERS = 'Names of the header fields `messageNew` holds; `"*"` is every one. Empty: none.'
_ATTEMPTS = "How often a message is tried at most, where it does not say so itself. `null`: as configured."
_PROXY_ENABLED = "Whether mail servers of accounts without a proxy of their own are dialled through `proxyUrl`."
_PROXY_URL = (
    "Proxy for them: `socks5://`, `socks4://` or `http://`, with a login before `@` where it needs one. "
    '`null` or `""`: none.'
)
_LOCAL_ADDRESSES = (
    "IP addresses of this machine that connections to mail servers may leave from; `localAddress` must then be one of "
    "them. Empty: any, and the strategies mean nothing."
)
_STRATEGY = (
    "Which of `localAddresses` connections to {} servers leave from: `default` lets the system choose, `dedicated` "
    "gives each account one, `random` takes another for each connection. `null`: `default`."
)
_IMAP_STRATEGY, _SMTP_STRATEGY = _STRATEGY.format("IMAP"), _STRATEGY.format("SMTP")
_CUSTOM_HEADERS = (
    "Headers that go with every webhook to `webhooks`, and to the URLs of accounts that a token for all accounts set."
)
_SECRET = "Secret that signs these webhooks. `null`: the engine makes one and shows it in its answer, this once."


Strategy = Literal["default", "dedicated", "random"]


class SettingsUpdate(Request, frozen=True, kw_only=True):
    """Changes settings: what is absent stays as it is."""

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


_ASK = "Whether to answer with this setting."


class SettingsQuery(Request, frozen=True, kw_only=True):
    """Which settings are asked for. Without any: all of them but `serviceSecret`, and not `eventTypes`."""

    webhooks: Annotated[bool, Meta(description=_ASK)] = False
    webhooks_enabled: Annotated[bool, Meta(description=_ASK)] = False
    webhook_events: Annotated[bool, Meta(description=_ASK)] = False
    service_url: Annotated[bool, Meta(description=_ASK)] = False
    delivery_attempts: Annotated[bool, Meta(description=_ASK)] = False
    webhooks_custom_headers: Annotated[bool, Meta(description=_ASK)] = False
    service_secret: Annotated[bool, Meta(description=_ASK)] = False
    event_types: Annotated[bool, Meta(description="Whether to answer with the names of all events.")] = False
    notify_text: Annotated[bool, Meta(description=_ASK)] = False
    notify_text_size: Annotated[bool, Meta(description=_ASK)] = False
    notify_headers: Annotated[bool, Meta(description=_ASK)] = False
    proxy_enabled: Annotated[bool, Meta(description=_ASK)] = False
    proxy_url: Annotated[bool, Meta(description=_ASK)] = False
    local_addresses: Annotated[bool, Meta(description=_ASK)] = False
    imap_strategy: Annotated[bool, Meta(description=_ASK)] = False
    smtp_strategy: Annotated[bool, Meta(description=_ASK)] = False


class Settings(Response, frozen=True, kw_only=True):
    """The settings that were asked for, or all that are no secret."""

    webhooks: Annotated[str | UnsetType | None, Meta(description=_WEBHOOKS)] = UNSET
    webhooks_enabled: Annotated[bool | UnsetType | None, Meta(description=_ENABLED)] = UNSET
    webhook_events: Annotated[tuple[str, ...] | UnsetType | None, Meta(description=_EVENTS)] = UNSET
    service_url: Annotated[str | UnsetType | None, Meta(description=_SERVICE_URL)] = UNSET
    delivery_attempts: Annotated[int | UnsetType | None, Meta(description=_ATTEMPTS)] = UNSET
    webhooks_custom_headers: Annotated[
        tuple[CustomHeader, ...] | UnsetType | None, Meta(description=_CUSTOM_HEADERS + " Their values are masked.")
    ] = UNSET
    service_secret: Annotated[str | UnsetType | None, Meta(description=_SECRET + " Masked.")] = UNSET
    event_types: Annotated[tuple[str, ...] | UnsetType, Meta(description="Names of all events.")] = UNSET
    unreadable: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(description="Those asked for whose stored value cannot be read: set them again.", examples=[["webhooks"]]),
    ] = UNSET
    notify_text: Annotated[bool | UnsetType | None, Meta(description=_TEXT)] = UNSET
    notify_text_size: Annotated[int | UnsetType | None, Meta(description=_TEXT_SIZE)] = UNSET
    notify_headers: Annotated[tuple[str, ...] | UnsetType | None, Meta(description=_HEADERS)] = UNSET
    proxy_enabled: Annotated[bool | UnsetType | None, Meta(description=_PROXY_ENABLED)] = UNSET
    proxy_url: Annotated[str | UnsetType | None, Meta(description=_PROXY_URL + " Its login is masked.")] = UNSET
    local_addresses: Annotated[tuple[str, ...] | UnsetType | None, Meta(description=_LOCAL_ADDRESSES)] = UNSET
    imap_strategy: Annotated[str | UnsetType | None, Meta(description=_IMAP_STRATEGY)] = UNSET
    smtp_strategy: Annotated[str | UnsetType | None, Meta(description=_SMTP_STRATEGY)] = UNSET


class SettingsUpdated(Response, frozen=True, kw_only=True):
    """Which settings were changed."""

    updated: Annotated[tuple[str, ...], Meta(description="Their names.", examples=[["webhooks", "webhooksEnabled"]])]
    service_secret: Annotated[
        str | UnsetType,
        Meta(
            description="The secret the engine has made for these webhooks, shown this once: the receiver needs it.",
            examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        ),
    ] = UNSET
    notes: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(
            description="Why webhooks that were just set are not posted.",
            examples=[['"webhooksEnabled" is not true, so nothing is posted']],
        ),
    ] = UNSET
