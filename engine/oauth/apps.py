"""An OAuth2 app: the data registered at a provider's console, and what follows from it. Pure.

`App` is the stored record, with its secrets in clear text in memory (`store/oauth_apps.py` stores them sealed). What a
provider's entry leaves open is filled in here: Microsoft's cloud and tenant, the servers and endpoints of `oidc`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from engine.oauth.providers import CLOUDS, PROVIDERS, Cloud, Endpoints, Provider, ProviderId, Server


class App(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One app. `client_secret_expires` is in seconds since 1970; empty strings and None mean not set."""

    id: str
    provider: ProviderId
    name: str
    description: str = ""
    title: str = ""
    enabled: bool = False
    client_id: str = ""
    client_secret: str = ""
    client_secret_expires: float | None = None
    redirect_url: str = ""
    authority: str = ""
    cloud: Cloud = "global"
    tenant: str = ""
    service_client: str = ""
    service_client_email: str = ""
    service_key: str = ""
    extra_scopes: tuple[str, ...] = ()
    skip_scopes: tuple[str, ...] = ()
    google_project_id: str = ""
    google_workspace_accounts: bool = False
    endpoints: Endpoints = Endpoints()
    imap: Server | None = None
    smtp: Server | None = None

    def __repr__(self) -> str:
        return f"App(id={self.id!r}, provider={self.provider!r}, name={self.name!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts that must not be shown."""
        return tuple(each for each in (self.client_secret, self.service_key) if each)

    @property
    def of(self) -> Provider:
        """Its provider."""
        return PROVIDERS[self.provider]

    @property
    def called(self) -> str:
        """What those who sign in know the provider by."""
        url = self.endpoints.authorize or self.endpoints.issuer
        return urlsplit(url).hostname or self.of.name if self.provider == "oidc" and url else self.of.name

    @property
    def signs_in(self) -> bool:
        """Whether users sign in; otherwise it is a service app with access to all mailboxes."""
        return self.of.grant == "authorization_code"

    @property
    def imap_server(self) -> Server | None:
        """The IMAP server that accepts its tokens."""
        return self.imap or _filled_server(self.of.imap, self)

    @property
    def smtp_server(self) -> Server | None:
        """The SMTP server that accepts its tokens."""
        return self.smtp or _filled_server(self.of.smtp, self)


def known_endpoints(app: App) -> Endpoints:
    """The endpoints known without discovery: those of the app, else those of its provider."""
    of = app.of.endpoints
    given = app.endpoints
    return Endpoints(
        issuer=given.issuer or _filled(of.issuer, app),
        authorize=given.authorize or _filled(of.authorize, app),
        token=given.token or _filled(of.token, app),
        userinfo=given.userinfo or of.userinfo,
        revocation=given.revocation or of.revocation,
    )


_ABOUT_THE_USER = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})
"""Scopes of OpenID Connect Core 1.0 (sections 5.4 and 11), none of which opens a mailbox."""


def mail_scopes(app: App) -> tuple[str, ...]:
    """The scopes required for reading or sending mail, as far as the app requests them.

    Where the provider's entry names none, they are the app's own.
    """
    if not app.of.mail_scopes:
        return tuple(scope for scope in app.extra_scopes if scope.lower() not in _ABOUT_THE_USER)
    filled = tuple(scope.format_map(CLOUDS[app.cloud]) for scope in app.of.mail_scopes)
    return tuple(scope for scope in filled if not _skipped(scope, app))


def scopes(app: App) -> tuple[str, ...]:
    """All requested scopes, each once."""
    asked = (*(scope for scope in app.of.scopes if not _skipped(scope, app)), *mail_scopes(app), *app.extra_scopes)
    return tuple(dict.fromkeys(asked))


def missing_scopes(app: App, granted: tuple[str, ...] | None) -> tuple[str, ...]:
    """The mail scopes that were not granted; None: the provider did not say, which means all (RFC 6749 section 5.1)."""
    if granted is None:
        return ()
    # Microsoft shortens a scope to its last part if it belongs to the requested resource.
    have = {scope.lower().rstrip("/") for scope in granted}
    have |= {scope.rpartition("/")[2] for scope in have}
    return tuple(
        scope
        for scope in mail_scopes(app)
        if scope.lower().rstrip("/") not in have and scope.lower().rpartition("/")[2] not in have - {""}
    )


def _skipped(scope: str, app: App) -> bool:
    """EmailEngine's `skipScopes` name a scope whole or by its last part."""
    return any(scope == each or scope.rpartition("/")[2] == each for each in app.skip_scopes if each)


def _filled(text: str | None, app: App) -> str | None:
    if text is None:
        return None
    return text.format_map({**CLOUDS[app.cloud], "tenant": app.authority or app.tenant or "common"})


def _filled_server(server: Server | None, app: App) -> Server | None:
    return server and msgspec.structs.replace(server, host=server.host.format_map(CLOUDS[app.cloud]))
