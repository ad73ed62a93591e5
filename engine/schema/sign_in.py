"""How an account signs in with OAuth2: the app it does so through, who signs in, and the tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import AccessToken, Filled256, Instant, LoginUser, Request, Response, WebUrl, When

Provider = Literal[
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
_PROVIDER = "The id of the OAuth2 app (`POST /v1/oauth2`)."
_USER = "The user who signs in, as the mail servers know them: an address."
_DELEGATED = "A shared mailbox that `user` may open, which is connected instead of their own. Absent: their own."
_REFRESH = "The refresh token. The engine renews it from now on, so nothing else may use it. Absent: none."
_ACCESS = "The access token. Absent: the engine asks for one."
_EXPIRES = "When the access token expires. Absent: the engine asks for another one once it is refused."
_REDIRECT = "Where the browser goes after the sign-in, with `account` and `state` in its query."
_NO_AUTH_SERVER = "Not supported: set `useAuthServer` in `imap` and `smtp`. `false` or absent."
_NO_AUTH_SERVER_HERE = (
    "must be false: the auth server gives logins for IMAP and SMTP, so set useAuthServer in imap and smtp, which name "
    "their servers, and leave oauth2 out"
)
_APP_ID = "AAABhaBPHscAAAAHq2bX"


class OAuthUser(Request, frozen=True, kw_only=True):
    """Who signs in."""

    user: Annotated[
        LoginUser | UnsetType,
        Meta(description=f"{_USER} Absent: refused, but with `authorize`.", examples=["andris@example.com"]),
    ] = UNSET
    delegated_user: Annotated[LoginUser | UnsetType, Meta(description=_DELEGATED)] = UNSET


class OAuthLogin(Request, frozen=True, kw_only=True):
    """How an account signs in.

    Either the tokens of a sign-in that has taken place, or `authorize` to have a person sign in. An app that speaks
    for itself needs neither.
    """

    EXAMPLE = {"provider": _APP_ID, "auth": {"user": "andris@example.com"}, "refreshToken": "1//0dx..."}

    provider: Annotated[
        Filled256 | UnsetType, Meta(description=f"{_PROVIDER} Absent: refused.", examples=[_APP_ID])
    ] = UNSET
    auth: Annotated[
        OAuthUser | UnsetType, Meta(description="Who signs in. Absent: refused unless `authorize` is set.")
    ] = UNSET
    access_token: Annotated[AccessToken | UnsetType, Meta(description=_ACCESS)] = UNSET
    refresh_token: Annotated[AccessToken | UnsetType, Meta(description=_REFRESH)] = UNSET
    expires: Annotated[Instant | UnsetType, Meta(description=_EXPIRES)] = UNSET
    use_auth_server: Annotated[bool, Meta(description=_NO_AUTH_SERVER)] = False
    authorize: Annotated[
        bool,
        Meta(
            description="`true`: nothing is registered yet; the answer has `redirect`, the URL at which a person signs "
            "in. Then `auth.user` only fills in the provider's form."
        ),
    ] = False
    redirect_url: Annotated[WebUrl | UnsetType, Meta(description=f"{_REDIRECT} Absent: refused with `authorize`.")] = (
        UNSET
    )

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A sign-in to come brings its own tokens, and needs a place to go back to."""
        if get("use_auth_server") is True:
            yield "useAuthServer", _NO_AUTH_SERVER_HERE
        if get("authorize") is True:
            for name, wire in (("access_token", "accessToken"), ("refresh_token", "refreshToken")):
                if get(name) is not UNSET:
                    yield wire, "is not allowed with authorize"
            if get("redirect_url") is UNSET:
                yield "redirectUrl", "is required with authorize"
        elif get("redirect_url") is not UNSET:
            yield "redirectUrl", "is not allowed without authorize"
        if get("expires") is not UNSET and get("access_token") is UNSET:
            yield "expires", "is not allowed without accessToken"


class OAuthUpdate(Request, frozen=True, kw_only=True):
    """A change of how an account signs in."""

    partial: Annotated[
        bool,
        Meta(
            description="`true`: the members given replace the stored ones one by one. `false` or absent: this object "
            "replaces the stored one; the tokens stay if provider and user do and none are given."
        ),
    ] = False
    provider: Annotated[
        Filled256 | UnsetType, Meta(description=f"{_PROVIDER} Absent: the stored one with `partial`, else refused.")
    ] = UNSET
    auth: Annotated[
        OAuthUser | UnsetType,
        Meta(description="Who signs in. Absent: as stored with `partial`, else refused."),
    ] = UNSET
    access_token: Annotated[AccessToken | UnsetType, Meta(description=_ACCESS)] = UNSET
    refresh_token: Annotated[AccessToken | UnsetType, Meta(description=_REFRESH)] = UNSET
    expires: Annotated[Instant | UnsetType, Meta(description=_EXPIRES)] = UNSET
    use_auth_server: Annotated[bool, Meta(description=_NO_AUTH_SERVER)] = False

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """When a token expires is said with it."""
        if get("use_auth_server") is True:
            yield "useAuthServer", _NO_AUTH_SERVER_HERE
        if get("expires") is not UNSET and get("access_token") is UNSET:
            yield "expires", "is not allowed without accessToken"


class OAuthUserShown(Response, frozen=True, kw_only=True):
    """Who signed in."""

    user: Annotated[str, Meta(description=_USER, examples=["andris@example.com"])]
    delegated_user: Annotated[str | UnsetType, Meta(description=_DELEGATED)] = UNSET


class OAuthState(Response, frozen=True, kw_only=True):
    """How an account signs in, tokens masked. `lastError` of the account says what is wrong with it."""

    EXAMPLE = {
        "provider": _APP_ID,
        "auth": {"user": "andris@example.com"},
        "accessToken": "******",
        "refreshToken": "******",
        "scope": ["https://mail.google.com/"],
        "generated": "2026-11-27T07:30:49.683Z",
        "expires": "2026-11-27T08:30:48.683Z",
        "refreshTokenGenerated": "2026-11-20T16:02:11.004Z",
    }

    provider: Annotated[str, Meta(description=_PROVIDER, examples=[_APP_ID])]
    auth: Annotated[OAuthUserShown, Meta(description="Who signed in.")]
    redirect_url: Annotated[str | UnsetType, Meta(description=_REDIRECT)] = UNSET
    access_token: Annotated[str | UnsetType, Meta(description="Masked. Absent: there is none at present.")] = UNSET
    refresh_token: Annotated[str | UnsetType, Meta(description="Masked. Absent: there is none.")] = UNSET
    scope: Annotated[tuple[str, ...] | UnsetType, Meta(description="The scopes granted. Absent: unknown.")] = UNSET
    generated: Annotated[When | UnsetType, Meta(description="When the access token was issued.")] = UNSET
    expires: Annotated[When | UnsetType, Meta(description="When it expires. Absent: unknown.")] = UNSET
    refresh_token_generated: Annotated[When | UnsetType, Meta(description="When the refresh token was issued.")] = UNSET


class OAuthToken(Response, frozen=True, kw_only=True):
    """An account's access token."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]
    user: Annotated[str, Meta(description=_USER, examples=["andris@example.com"])]
    access_token: Annotated[str, Meta(description="The access token.", examples=["ya29.a0AfB..."])]
    provider: Annotated[str, Meta(description="The app's provider; `oauth2` if the app is gone.", examples=["gmail"])]
    app: Annotated[str, Meta(description=_PROVIDER, examples=[_APP_ID])]
    registered_scopes: Annotated[
        tuple[str, ...] | UnsetType, Meta(description="The scopes granted. Absent: unknown.")
    ] = UNSET
    expires: Annotated[When | UnsetType, Meta(description="When it expires. Absent: unknown.")] = UNSET
    cached: Annotated[bool, Meta(description="`false`: it was issued for this request.")]
