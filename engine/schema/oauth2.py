"""OAuth2 apps: what was registered at a provider, so that users can give the engine access to their accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.account_condition import LastError
from engine.schema.fields import (
    Check,
    Email,
    Hostname,
    Instant,
    Line,
    Line256,
    Off,
    Port,
    Request,
    Response,
    WebUrl,
    When,
)
from engine.schema.paging import Page
from engine.schema.sign_in import Provider

BaseScopes = Literal["imap", "api", "pubsub"]
Cloud = Literal["global", "gcc-high", "dod", "china"]

NEEDED: dict[str, tuple[str, ...]] = {
    "gmail": ("client_id", "client_secret"),
    "gmailService": ("service_client", "service_client_email", "service_key"),
    "outlook": ("client_id",),
    "outlookService": ("client_id", "client_secret", "authority"),
    "mailRu": ("client_id", "client_secret"),
    "yahoo": ("client_id", "client_secret"),
    "aol": ("client_id", "client_secret"),
    "fastmail": ("client_id",),
    "yandex": ("client_id", "client_secret"),
    "oidc": ("client_id",),
    "sandbox": ("client_id",),
}
"""The members that an app of each provider needs."""

_ID = "AAABhaBPHscAAAAHq2bX"
AppId = Annotated[str, Meta(min_length=1, max_length=256, description="The app's id.", examples=[_ID])]
"""An app in a path."""
_Secret = Annotated[Line256, Meta(min_length=1)]
_Key = Annotated[str, Meta(min_length=1, max_length=102_400)]
_Scopes = Annotated[tuple[Annotated[Line, Meta(min_length=1, max_length=255)], ...], Meta(max_length=100)]
_Authority = Annotated[str, Meta(min_length=1, max_length=1024, extra={"check": Check.NAME})]
_Described = Annotated[Line, Meta(max_length=1024)]
_Unused = Annotated[str, Meta(max_length=512)] | Off | None

_NOT_SET = (UNSET, None)

_NAME = "Your name for the app."
_DESCRIPTION = "What the app is for, in your words."
_TITLE = "The text of its button in the sign-in form. Absent: the provider's name."
_ENABLED = "Whether the app is in use. `false`: no one can sign in through it, and its accounts get no new tokens."
_CLIENT_ID = "The client id from the provider's console. Absent: none."
_CLIENT_SECRET = "The client secret from the provider's console; sealed, and never shown. Absent: none."
_EXPIRES = (
    "When the client secret expires. The event `oauth2AppWarning` comes 30, 7 and 1 days before. `null` or absent: "
    "unknown."
)
_AUTHORITY = (
    "Microsoft: who may sign in: `common`, `organizations`, `consumers`, or the id or domain of a tenant. Absent: "
    "`common`; `outlookService` needs a tenant."
)
_CLOUD = "Microsoft: the cloud. Absent: `global`."
_TENANT = "Microsoft: not used; set `authority`. Absent: nothing."
_REDIRECT = "The URL to which the provider sends users back, as registered there. Absent: `/oauth` at `serviceUrl`."
_SERVICE_CLIENT = "Google service account: its unique id. Absent: none."
_SERVICE_EMAIL = "Google service account: its address. Absent: none."
_SERVICE_KEY = (
    "Google service account: its private key in PEM form, or the whole JSON key file; sealed, and never shown. Absent: "
    "none."
)
_EXTRA = "Scopes beside the usual ones. `oidc`: those for mail; a sign-in without one of them is refused. Absent: none."
_SKIP = "Usual scopes not to request, in full or by their last part (`SMTP.Send`). Absent: none."
_PROJECT = "Google: the project's id; stored, but not used. Absent: none."
_WORKSPACE = "Google: whether only Workspace accounts may sign in."
_NO_PUBSUB = "Not supported, because the engine watches accounts over IMAP. `false`, `null` or absent."
_ISSUER = "`oidc`: the issuer, whose discovery document names the endpoints. Absent: set the endpoints."
_AUTHORIZATION_URL = "`oidc`: the URL at which users sign in. Absent: the issuer's."
_TOKEN_URL = "`oidc`: the URL for token requests. Absent: the issuer's."
_USERINFO_URL = "`oidc`: the URL that says who signed in. Absent: the issuer's."
_REVOCATION_URL = "`oidc`: the URL that revokes grants. Absent: the issuer's."
_IMAP = "The IMAP server that accepts these tokens. Absent: the provider's; with `oidc`, each account names it."
_SMTP = "The SMTP server that accepts these tokens. Absent: the provider's; with `oidc`, each account names it."


class AppServer(Request, frozen=True, kw_only=True):
    """A mail server that accepts the tokens of an app."""

    host: Annotated[Hostname, Meta(description="The server's name or IP address.", examples=["imap.example.com"])]
    port: Annotated[Port, Meta(description="The server's TCP port.", examples=[993])]
    secure: Annotated[
        bool, Meta(description="`true`: TLS from the first byte. `false`: STARTTLS if the server offers it.")
    ] = True


class OAuthAppCreate(Request, frozen=True, kw_only=True):
    """An app to create. `null` is the same as absent, wherever a member may be absent."""

    EXAMPLE = {
        "name": "Gmail, customers",
        "provider": "gmail",
        "enabled": True,
        "clientId": "1234.apps.googleusercontent.com",
        "clientSecret": "GOCSPX-...",
        "redirectUrl": "https://mail.example.com/oauth",
    }

    name: Annotated[Annotated[Line256, Meta(min_length=1)], Meta(description=_NAME, examples=["Gmail, customers"])]
    provider: Annotated[Provider, Meta(description="The provider of the app; it cannot be changed.")]
    description: Annotated[_Described | None, Meta(description=_DESCRIPTION)] = ""
    title: Annotated[Line256 | None, Meta(description=_TITLE)] = ""
    enabled: Annotated[bool, Meta(description=_ENABLED)] = False
    client_id: Annotated[Line256 | UnsetType | None, Meta(description=_CLIENT_ID)] = UNSET
    client_secret: Annotated[_Secret | UnsetType | None, Meta(description=_CLIENT_SECRET)] = UNSET
    client_secret_expires: Annotated[Instant | UnsetType | None, Meta(description=_EXPIRES)] = UNSET
    base_scopes: Annotated[BaseScopes, Meta(description="Only `imap` is supported.")] = "imap"
    pub_sub_app: Annotated[_Unused, Meta(description=_NO_PUBSUB)] = None
    extra_scopes: Annotated[_Scopes | None, Meta(description=_EXTRA)] = ()
    skip_scopes: Annotated[_Scopes | None, Meta(description=_SKIP)] = ()
    service_client: Annotated[Line256 | UnsetType | None, Meta(description=_SERVICE_CLIENT)] = UNSET
    service_client_email: Annotated[Email | UnsetType | None, Meta(description=_SERVICE_EMAIL)] = UNSET
    service_key: Annotated[_Key | UnsetType | None, Meta(description=_SERVICE_KEY)] = UNSET
    auth_method: Annotated[
        Literal["serviceKey", "externalAccount"], Meta(description="Only `serviceKey` is supported.")
    ] = "serviceKey"
    external_account: Annotated[
        Annotated[str, Meta(max_length=65_536)] | UnsetType | None,
        Meta(description="Not supported: use `serviceKey`. Absent: none."),
    ] = UNSET
    google_project_id: Annotated[Line256 | Off | None, Meta(description=_PROJECT)] = None
    google_workspace_accounts: Annotated[bool, Meta(description=_WORKSPACE)] = False
    google_topic_name: Annotated[_Unused, Meta(description=_NO_PUBSUB)] = None
    google_subscription_name: Annotated[_Unused, Meta(description=_NO_PUBSUB)] = None
    authority: Annotated[_Authority | UnsetType | None, Meta(description=_AUTHORITY)] = UNSET
    cloud: Annotated[Cloud | None, Meta(description=_CLOUD)] = "global"
    redirect_url: Annotated[
        WebUrl | UnsetType | None, Meta(description=_REDIRECT, examples=["https://mail.example.com/oauth"])
    ] = UNSET
    issuer: Annotated[WebUrl | UnsetType | None, Meta(description=_ISSUER)] = UNSET
    authorization_url: Annotated[WebUrl | UnsetType | None, Meta(description=_AUTHORIZATION_URL)] = UNSET
    token_url: Annotated[WebUrl | UnsetType | None, Meta(description=_TOKEN_URL)] = UNSET
    userinfo_url: Annotated[WebUrl | UnsetType | None, Meta(description=_USERINFO_URL)] = UNSET
    revocation_url: Annotated[WebUrl | UnsetType | None, Meta(description=_REVOCATION_URL)] = UNSET
    imap: Annotated[AppServer | UnsetType | None, Meta(description=_IMAP)] = UNSET
    smtp: Annotated[AppServer | UnsetType | None, Meta(description=_SMTP)] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """What each provider needs, and what is not supported."""
        provider = get("provider")
        for name in NEEDED.get(provider, ()) if isinstance(provider, str) else ():
            if get(name) in (*_NOT_SET, ""):
                yield on_the_wire(name), "is required"
        if provider == "oidc" and get("issuer") in _NOT_SET:
            for name in ("authorization_url", "token_url"):
                if get(name) in _NOT_SET:
                    yield on_the_wire(name), "is required without issuer"
        if provider == "outlookService" and get("authority") in ("common", "organizations", "consumers"):
            yield "authority", "must be the tenant's id or domain"
        if get("base_scopes") in ("api", "pubsub"):
            yield "baseScopes", "must be imap: the engine reads accounts over IMAP, not through the provider's own API"
        if get("auth_method") == "externalAccount" or get("external_account") not in _NOT_SET:
            yield "externalAccount", "is not supported: use serviceKey"
        yield from _unsupported(get)


class OAuthAppUpdate(Request, frozen=True, kw_only=True):
    """A change of an app. Absent members stay as they are; `null` makes one absent that an app may lack.

    Accounts that waited for the app try again at once.
    """

    name: Annotated[Annotated[Line256, Meta(min_length=1)] | UnsetType, Meta(description=_NAME)] = UNSET
    description: Annotated[_Described | UnsetType | None, Meta(description=_DESCRIPTION)] = UNSET
    title: Annotated[Line256 | UnsetType | None, Meta(description=_TITLE)] = UNSET
    enabled: Annotated[bool | UnsetType, Meta(description=_ENABLED)] = UNSET
    client_id: Annotated[Line256 | Off | UnsetType | None, Meta(description=_CLIENT_ID)] = UNSET
    client_secret: Annotated[_Secret | UnsetType | None, Meta(description=_CLIENT_SECRET)] = UNSET
    client_secret_expires: Annotated[Instant | UnsetType | None, Meta(description=_EXPIRES)] = UNSET
    pub_sub_app: Annotated[_Unused, Meta(description=_NO_PUBSUB)] = None
    extra_scopes: Annotated[_Scopes | UnsetType | None, Meta(description=_EXTRA)] = UNSET
    skip_scopes: Annotated[_Scopes | UnsetType | None, Meta(description=_SKIP)] = UNSET
    service_client: Annotated[Line256 | Off | UnsetType | None, Meta(description=_SERVICE_CLIENT)] = UNSET
    service_client_email: Annotated[Email | UnsetType | None, Meta(description=_SERVICE_EMAIL)] = UNSET
    service_key: Annotated[_Key | UnsetType | None, Meta(description=_SERVICE_KEY)] = UNSET
    google_project_id: Annotated[Line256 | Off | UnsetType | None, Meta(description=_PROJECT)] = UNSET
    google_workspace_accounts: Annotated[bool | UnsetType, Meta(description=_WORKSPACE)] = UNSET
    google_topic_name: Annotated[_Unused, Meta(description=_NO_PUBSUB)] = None
    google_subscription_name: Annotated[_Unused, Meta(description=_NO_PUBSUB)] = None
    authority: Annotated[_Authority | UnsetType | None, Meta(description=_AUTHORITY)] = UNSET
    cloud: Annotated[Cloud | UnsetType | None, Meta(description=_CLOUD)] = UNSET
    tenant: Annotated[_Authority | UnsetType | None, Meta(description=_TENANT)] = UNSET
    redirect_url: Annotated[WebUrl | Off | UnsetType | None, Meta(description=_REDIRECT)] = UNSET
    issuer: Annotated[WebUrl | UnsetType | None, Meta(description=_ISSUER)] = UNSET
    authorization_url: Annotated[WebUrl | UnsetType | None, Meta(description=_AUTHORIZATION_URL)] = UNSET
    token_url: Annotated[WebUrl | UnsetType | None, Meta(description=_TOKEN_URL)] = UNSET
    userinfo_url: Annotated[WebUrl | UnsetType | None, Meta(description=_USERINFO_URL)] = UNSET
    revocation_url: Annotated[WebUrl | UnsetType | None, Meta(description=_REVOCATION_URL)] = UNSET
    imap: Annotated[AppServer | UnsetType | None, Meta(description=_IMAP)] = UNSET
    smtp: Annotated[AppServer | UnsetType | None, Meta(description=_SMTP)] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """What is not supported."""
        return _unsupported(get)


def _unsupported(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
    for name in ("pub_sub_app", "google_topic_name", "google_subscription_name"):
        if isinstance(get(name), str):
            yield on_the_wire(name), "is not supported: the engine watches accounts over IMAP"


def on_the_wire(name: str) -> str:
    """A member's name as requests write it."""
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


class OAuthApp(Response, frozen=True, kw_only=True):
    """An app. Secrets read `******`."""

    id: Annotated[str, Meta(description="The app's id.", examples=[_ID])]
    name: Annotated[str, Meta(description=_NAME, examples=["Gmail, customers"])]
    description: Annotated[str | UnsetType, Meta(description=_DESCRIPTION)] = UNSET
    title: Annotated[str | UnsetType, Meta(description=_TITLE)] = UNSET
    provider: Annotated[Provider, Meta(description="The provider of the app.")]
    enabled: Annotated[bool, Meta(description=_ENABLED)]
    created: Annotated[When, Meta(description="When it was created.")]
    updated: Annotated[When, Meta(description="When it was last changed.")]
    include_in_listing: Annotated[bool, Meta(description="Whether the sign-in form offers it.")]
    client_id: Annotated[str | UnsetType, Meta(description=_CLIENT_ID)] = UNSET
    client_secret: Annotated[str | UnsetType, Meta(description="Masked. Absent: there is none.")] = UNSET
    client_secret_expires: Annotated[
        When | UnsetType, Meta(description="When the client secret expires. Absent: unknown.")
    ] = UNSET
    authority: Annotated[str | UnsetType, Meta(description=_AUTHORITY)] = UNSET
    cloud: Annotated[Cloud | UnsetType, Meta(description=_CLOUD)] = UNSET
    tenant: Annotated[str | UnsetType, Meta(description=_TENANT)] = UNSET
    redirect_url: Annotated[str | UnsetType, Meta(description=_REDIRECT)] = UNSET
    service_client: Annotated[str | UnsetType, Meta(description=_SERVICE_CLIENT)] = UNSET
    service_client_email: Annotated[str | UnsetType, Meta(description=_SERVICE_EMAIL)] = UNSET
    service_key: Annotated[str | UnsetType, Meta(description="Masked. Absent: there is none.")] = UNSET
    auth_method: Annotated[
        Literal["serviceKey"] | UnsetType, Meta(description="How a service account signs its requests.")
    ] = UNSET
    google_project_id: Annotated[str | UnsetType, Meta(description=_PROJECT)] = UNSET
    google_workspace_accounts: Annotated[bool | UnsetType, Meta(description=_WORKSPACE)] = UNSET
    extra_scopes: Annotated[tuple[str, ...] | UnsetType, Meta(description=_EXTRA)] = UNSET
    skip_scopes: Annotated[tuple[str, ...] | UnsetType, Meta(description=_SKIP)] = UNSET
    base_scopes: Annotated[Literal["imap"], Meta(description="Always `imap`.")] = "imap"
    issuer: Annotated[str | UnsetType, Meta(description=_ISSUER)] = UNSET
    authorization_url: Annotated[str | UnsetType, Meta(description=_AUTHORIZATION_URL)] = UNSET
    token_url: Annotated[str | UnsetType, Meta(description=_TOKEN_URL)] = UNSET
    userinfo_url: Annotated[str | UnsetType, Meta(description=_USERINFO_URL)] = UNSET
    revocation_url: Annotated[str | UnsetType, Meta(description=_REVOCATION_URL)] = UNSET
    imap: Annotated[AppServer | UnsetType, Meta(description=_IMAP)] = UNSET
    smtp: Annotated[AppServer | UnsetType, Meta(description=_SMTP)] = UNSET
    accounts: Annotated[int | UnsetType, Meta(description="The number of accounts that use it. Absent: in lists.")] = (
        UNSET
    )
    last_error: Annotated[
        LastError | None, Meta(description="Why the provider refuses the app. `null`: it does not.")
    ] = None


class OAuthAppList(Page, frozen=True, kw_only=True):
    """One page of apps, in the order in which they were created."""

    apps: Annotated[tuple[OAuthApp, ...], Meta(description="The apps on this page.")]


class OAuthAppCreated(Response, frozen=True, kw_only=True):
    """The app is created."""

    id: Annotated[str, Meta(description="The app's id.", examples=[_ID])]
    created: Annotated[bool, Meta(description="Always `true`.")] = True


class OAuthAppUpdated(Response, frozen=True, kw_only=True):
    """The app is changed."""

    id: Annotated[str, Meta(description="The app's id.", examples=[_ID])]
    updated: Annotated[bool, Meta(description="Always `true`.")] = True


class OAuthAppDeleted(Response, frozen=True, kw_only=True):
    """The app is removed."""

    id: Annotated[str, Meta(description="The app's id.", examples=[_ID])]
    deleted: Annotated[bool, Meta(description="Always `true`.")] = True
    accounts: Annotated[
        int, Meta(description="The number of accounts that used it; they get no new tokens.", examples=[3])
    ]


class OAuthAppVerify(Request, frozen=True, kw_only=True):
    """How to test an app."""

    OMITTABLE = True

    account: Annotated[
        Line256 | None,
        Meta(
            description="An account that signed in through the app; for an app with a service account, also an email "
            "address. Absent: the steps that need one are skipped."
        ),
    ] = None
    test_connection: Annotated[bool, Meta(description="Whether to log in at the IMAP server.")] = True


class VerifyStep(Response, frozen=True, kw_only=True):
    """One step of the test."""

    id: Annotated[
        Literal["config", "reachable", "client", "redirect", "scopes", "login"], Meta(description="The step.")
    ]
    label: Annotated[str, Meta(description="The step in plain words.", examples=["The provider can be reached"])]
    status: Annotated[Literal["ok", "fail", "skip"], Meta(description="The result of the step.")]
    message: Annotated[
        str | None,
        Meta(description="What the engine found. `null`: nothing to report.", examples=["The provider answers"]),
    ] = None
    hint: Annotated[str | UnsetType, Meta(description="What to do. Absent: nothing.")] = UNSET


class OAuthAppVerified(Response, frozen=True, kw_only=True):
    """The result of the test."""

    app: Annotated[str, Meta(description="The app's id.", examples=[_ID])]
    provider: Annotated[Provider, Meta(description="The provider of the app.")]
    auth_method: Annotated[
        str | None, Meta(description="How a service account signs its requests. `null`: users sign in.")
    ] = None
    account: Annotated[str | None, Meta(description="The `account` of the request. `null`: none.")] = None
    ok: Annotated[bool, Meta(description="Whether all steps succeeded or were skipped.")]
    steps: Annotated[tuple[VerifyStep, ...], Meta(description="The steps, in order.")]


class OAuthAppWarning(Response, frozen=True, kw_only=True):
    """`oauth2AppWarning`: the client secret of an app expires in 30, 7 or 1 days. After that, all its accounts stop."""

    app: Annotated[str, Meta(description="The app's id.", examples=[_ID])]
    name: Annotated[str, Meta(description="Your name for the app.", examples=["Gmail, customers"])]
    provider: Annotated[Provider, Meta(description="The provider of the app.")]
    client_secret_expires: Annotated[When, Meta(description="When the secret expires.")]
    days: Annotated[
        int, Meta(description="At most this many days remain: 30, 7 or 1. 0: it has expired.", examples=[30])
    ]
    hint: Annotated[str, Meta(description="What to do.", examples=["Make a new secret at the provider's console"])]


class OAuthAppError(Response, frozen=True, kw_only=True):
    """`oauth2AppError`: the provider refuses an app, so its accounts wait. Not repeated while the error stays."""

    app: Annotated[str, Meta(description="The app's id.", examples=[_ID])]
    name: Annotated[str, Meta(description="Your name for the app.", examples=["Gmail, customers"])]
    provider: Annotated[Provider, Meta(description="The provider of the app.")]
    error: Annotated[LastError, Meta(description="The provider's answer, and what to do.")]
