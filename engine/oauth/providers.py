"""OAuth2 providers of mailboxes, as data: where to sign in, which scopes to request, which servers accept the token.

Pure. Each entry says when and where it was looked up. `apps.py` fills in the hosts of Microsoft's clouds and the
tenant. `oidc` has no data: its app names an issuer or the endpoints.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ProviderId = Literal[
    "gmail",
    "gmailService",
    "outlook",
    "outlookService",
    "mailRu",
    "yahoo",
    "aol",
    "fastmail",
    "yandex",
    "oidc",
    "sandbox",
]

GrantType = Literal["authorization_code", "jwt_bearer", "client_credentials"]
"""How the first token is obtained: by a user's sign-in, or by a service app itself."""

RefreshTokens = Literal["same", "added", "rotated"]
"""What an answer to a refresh does to refresh tokens.

`same`: there is no new one, and the old one stays in use. `added`: there is a new one, and the old one stays valid.
`rotated`: there is a new one, and a repeated use of the old one is taken for theft and ends the whole grant.
"""


class Server(msgspec.Struct, frozen=True):
    """One mail server; TLS from the first byte unless `secure` is False."""

    host: str
    port: int
    secure: bool = True


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints of a provider. None: it has no such endpoint, or an issuer's discovery names it."""

    issuer: str | None = None
    authorize: str | None = None
    token: str | None = None
    userinfo: str | None = None
    revocation: str | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One provider.

    `mail_scopes` are those required to read or send mail; `scopes` are requested in addition. `mechanisms`: SASL
    mechanisms in order of preference. `parameters` are sent with every authorization request. `client_login`: how the
    client secret is sent to the token endpoint (RFC 6749 section 2.3.1); None: discovery says. `passwords`: whether the
    servers accept passwords, such as app passwords.
    """

    id: ProviderId
    name: str
    looked_up: str
    source: str
    endpoints: Endpoints = Endpoints()
    grant: GrantType = "authorization_code"
    scopes: tuple[str, ...] = ()
    mail_scopes: tuple[str, ...] = ()
    imap: Server | None = None
    smtp: Server | None = None
    mechanisms: tuple[str, ...] = ("XOAUTH2", "OAUTHBEARER")
    refresh_tokens: RefreshTokens = "rotated"
    parameters: tuple[tuple[str, str], ...] = ()
    client_login: Literal["post", "basic"] | None = "post"
    passwords: bool = True


_GOOGLE = Endpoints(
    issuer="https://accounts.google.com",
    authorize="https://accounts.google.com/o/oauth2/v2/auth",
    token="https://oauth2.googleapis.com/token",
    userinfo="https://openidconnect.googleapis.com/v1/userinfo",
    revocation="https://oauth2.googleapis.com/revoke",
)
_MICROSOFT = Endpoints(
    issuer="https://{login}/{tenant}/v2.0",
    authorize="https://{login}/{tenant}/oauth2/v2.0/authorize",
    token="https://{login}/{tenant}/oauth2/v2.0/token",
)

GMAIL = Provider(
    id="gmail",
    name="Gmail",
    looked_up="2026-11-22",
    source="https://developers.google.com/workspace/gmail/imap/xoauth2-protocol",
    endpoints=_GOOGLE,
    scopes=("openid", "email"),
    mail_scopes=("https://mail.google.com/",),
    imap=Server("imap.gmail.com", 993),
    smtp=Server("smtp.gmail.com", 465),
    refresh_tokens="same",
    parameters=(("access_type", "offline"), ("prompt", "consent")),
)
GMAIL_SERVICE = Provider(
    id="gmailService",
    name="Google Workspace",
    looked_up="2026-11-22",
    source="https://developers.google.com/identity/protocols/oauth2/service-account",
    endpoints=_GOOGLE,
    grant="jwt_bearer",
    mail_scopes=("https://mail.google.com/",),
    imap=GMAIL.imap,
    smtp=GMAIL.smtp,
    refresh_tokens="same",
)
OUTLOOK = Provider(
    id="outlook",
    name="Outlook",
    looked_up="2026-11-22",
    source="https://learn.microsoft.com/en-us/exchange/client-developer/legacy-protocols/"
    "how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth",
    endpoints=_MICROSOFT,
    scopes=("openid", "profile", "email", "offline_access"),
    mail_scopes=("https://{scopes}/IMAP.AccessAsUser.All", "https://{scopes}/SMTP.Send"),
    imap=Server("{imap}", 993),
    smtp=Server("{smtp}", 587, secure=False),
    mechanisms=("XOAUTH2",),
    refresh_tokens="added",
    parameters=(("prompt", "select_account"),),
    passwords=False,
)
OUTLOOK_SERVICE = Provider(
    id="outlookService",
    name="Microsoft 365",
    looked_up="2026-11-22",
    source=OUTLOOK.source,
    endpoints=_MICROSOFT,
    grant="client_credentials",
    mail_scopes=("https://{app_scopes}/.default",),
    imap=OUTLOOK.imap,
    smtp=OUTLOOK.smtp,
    mechanisms=("XOAUTH2",),
    refresh_tokens="same",
    passwords=False,
)
MAIL_RU = Provider(
    id="mailRu",
    name="Mail.ru",
    looked_up="2026-11-22",
    source="https://biz.mail.ru/developer/oauth.html",
    endpoints=Endpoints(
        authorize="https://o2.mail.ru/login",
        token="https://o2.mail.ru/token",
        userinfo="https://o2.mail.ru/userinfo",
    ),
    scopes=("userinfo",),
    mail_scopes=("mail.imap",),
    imap=Server("imap.mail.ru", 993),
    smtp=Server("smtp.mail.ru", 465),
    refresh_tokens="same",
    parameters=(("prompt_force", "1"),),
    client_login="basic",
)
_YAHOO_SOURCE = "https://developer.yahoo.com/oauth2/guide/"
YAHOO = Provider(
    id="yahoo",
    name="Yahoo",
    looked_up="2026-11-22",
    source=_YAHOO_SOURCE,
    endpoints=Endpoints(
        issuer="https://api.login.yahoo.com",
        authorize="https://api.login.yahoo.com/oauth2/request_auth",
        token="https://api.login.yahoo.com/oauth2/get_token",
        userinfo="https://api.login.yahoo.com/openid/v1/userinfo",
        revocation="https://api.login.yahoo.com/oauth2/revoke",
    ),
    scopes=("openid",),
    mail_scopes=("mail-w",),
    imap=Server("imap.mail.yahoo.com", 993),
    smtp=Server("smtp.mail.yahoo.com", 465),
    mechanisms=("OAUTHBEARER", "XOAUTH2"),
    refresh_tokens="same",
    client_login="basic",
)
AOL = Provider(
    id="aol",
    name="AOL",
    looked_up="2026-11-22",
    source=_YAHOO_SOURCE,
    endpoints=Endpoints(
        issuer="https://api.login.aol.com",
        authorize="https://api.login.aol.com/oauth2/request_auth",
        token="https://api.login.aol.com/oauth2/get_token",
        userinfo="https://api.login.aol.com/openid/v1/userinfo",
        revocation="https://api.login.aol.com/oauth2/revoke",
    ),
    scopes=("openid",),
    mail_scopes=("mail-w",),
    imap=Server("imap.aol.com", 993),
    smtp=Server("smtp.aol.com", 465),
    mechanisms=("OAUTHBEARER", "XOAUTH2"),
    refresh_tokens="same",
    client_login="basic",
)
FASTMAIL = Provider(
    id="fastmail",
    name="Fastmail",
    looked_up="2026-11-22",
    source="https://www.fastmail.com/for-developers/oauth/",
    endpoints=Endpoints(
        authorize="https://api.fastmail.com/oauth/authorize",
        token="https://api.fastmail.com/oauth/refresh",
        revocation="https://api.fastmail.com/oauth/revoke",
    ),
    mail_scopes=("https://www.fastmail.com/dev/protocol-imap", "https://www.fastmail.com/dev/protocol-smtp"),
    imap=Server("imap.fastmail.com", 993),
    smtp=Server("smtp.fastmail.com", 465),
    mechanisms=("OAUTHBEARER", "XOAUTH2"),
)
YANDEX = Provider(
    id="yandex",
    name="Yandex",
    looked_up="2026-11-22",
    source="https://yandex.com/dev/id/doc/en/",
    endpoints=Endpoints(
        authorize="https://oauth.yandex.com/authorize",
        token="https://oauth.yandex.com/token",
        userinfo="https://login.yandex.ru/info?format=json",
        revocation="https://oauth.yandex.com/revoke_token",
    ),
    scopes=("login:email",),
    mail_scopes=("mail:imap_full", "mail:smtp"),
    imap=Server("imap.yandex.com", 993),
    smtp=Server("smtp.yandex.com", 465),
    parameters=(("force_confirm", "yes"),),
)
OIDC = Provider(
    id="oidc",
    name="OpenID Connect",
    looked_up="2026-11-22",
    source="https://openid.net/specs/openid-connect-discovery-1_0.html",
    scopes=("openid", "email", "offline_access"),
    mechanisms=("OAUTHBEARER", "XOAUTH2"),
    # Without it, many servers issue no refresh token (OpenID Connect Core 1.0 section 11).
    parameters=(("prompt", "consent"),),
    client_login=None,
)
SANDBOX_HOST = "sign-in.sandbox.example"
SANDBOX = Provider(
    id="sandbox",
    name="Sandbox",
    looked_up="2026-11-22",
    source="engine/sandbox/oauth.py",
    endpoints=Endpoints(
        issuer=f"http://{SANDBOX_HOST}",
        authorize=f"http://{SANDBOX_HOST}/authorize",
        token=f"http://{SANDBOX_HOST}/token",
        userinfo=f"http://{SANDBOX_HOST}/userinfo",
        revocation=f"http://{SANDBOX_HOST}/revoke",
    ),
    scopes=("openid", "email", "offline_access"),
    mail_scopes=("mail",),
    imap=Server("sandbox.example", 143, secure=False),
    smtp=Server("sandbox.example", 587, secure=False),
    mechanisms=("OAUTHBEARER", "XOAUTH2"),
)

PROVIDERS: dict[ProviderId, Provider] = {
    each.id: each
    for each in (
        GMAIL,
        GMAIL_SERVICE,
        OUTLOOK,
        OUTLOOK_SERVICE,
        MAIL_RU,
        YAHOO,
        AOL,
        FASTMAIL,
        YANDEX,
        OIDC,
        SANDBOX,
    )
}

Cloud = Literal["global", "gcc-high", "dod", "china"]

CLOUDS: dict[Cloud, dict[str, str]] = {
    "global": {
        "login": "login.microsoftonline.com",
        "scopes": "outlook.office.com",
        "app_scopes": "outlook.office365.com",
        "imap": "outlook.office365.com",
        "smtp": "smtp.office365.com",
    },
    "gcc-high": {
        "login": "login.microsoftonline.us",
        "scopes": "outlook.office365.us",
        "app_scopes": "outlook.office365.us",
        "imap": "outlook.office365.us",
        "smtp": "smtp.office365.us",
    },
    "dod": {
        "login": "login.microsoftonline.us",
        "scopes": "outlook-dod.office365.us",
        "app_scopes": "outlook-dod.office365.us",
        "imap": "outlook-dod.office365.us",
        "smtp": "outlook-dod.office365.us",
    },
    "china": {
        "login": "login.chinacloudapi.cn",
        "scopes": "partner.outlook.cn",
        "app_scopes": "partner.outlook.cn",
        "imap": "partner.outlook.cn",
        "smtp": "partner.outlook.cn",
    },
}
"""The hosts of Microsoft's clouds (looked up 2026-11-22, https://learn.microsoft.com/en-us/graph/deployments)."""
