"""The authorization code flow without a network: the sign-in URL and the callback. Pure.

It always uses PKCE with S256 (RFC 7636), a `state` of 128 random bits, and a `nonce` for the id token. `Pending` must
be stored between the two halves; `sign_ins.py` ensures that it is used once, within an hour, and by the browser that
began it. A callback that does not answer the request raises `CallbackRefused`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from engine.errors import EngineError, Fault
from engine.oauth.answers import Tokens, claims_of
from engine.oauth.apps import App, missing_scopes, scopes
from engine.oauth.providers import Endpoints

LIFETIME = 3600.0
"""Seconds within which the callback must arrive."""
REMEMBERED = 86_400.0
"""Seconds for which a sign-in and its browser are remembered, so that a callback that comes too late is told why."""
LONGEST_CLAIM = 256
"""Most characters of an address or a name that a provider says; a registration may have no longer one."""
CLOCK_SKEW = 300.0
"""Seconds by which an issuer's clock may differ from ours."""

TokenBytes = Callable[[int], bytes]
"""Returns random bytes for keys: `World.token_bytes`."""


class CallbackRefused(EngineError):
    """The callback does not match the request, or the provider refused.

    `error` goes to the caller's `errorRedirect`: `access_denied`, `missing_scope`, `wrong_account`, `invalid_state`,
    `server_error`. The text is for the person at the browser.
    """

    fault = Fault.CALLER

    def __init__(self, error: str, text: str) -> None:
        super().__init__(text)
        self.error = error


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in under way. `began` is in seconds since 1970; `issuer` None: the provider has none."""

    state: str
    nonce: str
    verifier: str
    app: str
    redirect_url: str
    issuer: str | None
    began: float

    def __repr__(self) -> str:
        return f"Pending(app={self.app!r}, began={self.began!r})"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed in. `user` is their login at the mail servers, None if the provider does not say.

    `also`: further addresses of theirs that the provider vouches for.
    """

    user: str | None
    name: str | None = None
    also: tuple[str, ...] = ()


def begin(
    app: App,
    endpoints: Endpoints,
    redirect_url: str,
    token_bytes: TokenBytes,
    now: float,
    *,
    login_hint: str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> tuple[str, Pending]:
    """The URL for the browser, and what to store until the callback. Raises `ValueError` without an endpoint.

    `parameters` replace those that the provider's entry has for mailboxes.
    """
    if endpoints.authorize is None:
        raise ValueError("the app has no authorization endpoint")
    pending = Pending(
        state=_base64(token_bytes(16)),
        nonce=_base64(token_bytes(16)),
        verifier=_base64(token_bytes(48)),
        app=app.id,
        redirect_url=redirect_url,
        issuer=endpoints.issuer,
        began=now,
    )
    parameters = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": redirect_url,
        "scope": " ".join(scopes(app)),
        "state": pending.state,
        "code_challenge": _base64(hashlib.sha256(pending.verifier.encode()).digest()),
        "code_challenge_method": "S256",
        "nonce": pending.nonce,
        **(dict(app.of.parameters) if parameters is None else parameters),
        **({"login_hint": login_hint} if login_hint else {}),
        **({"hd": "*"} if app.google_workspace_accounts else {}),
    }
    joined = "&" if urlsplit(endpoints.authorize).query else "?"
    return f"{endpoints.authorize}{joined}{urlencode(parameters)}", pending


def code_of(pending: Pending, given: Mapping[str, str], now: float) -> str:
    """The code in a callback's query. Raises `CallbackRefused`."""
    if not _same(given.get("state", ""), pending.state):
        raise CallbackRefused(
            "invalid_state", "This sign-in was not begun here. Begin again from the link you were given."
        )
    if not 0 <= now - pending.began + CLOCK_SKEW <= LIFETIME + CLOCK_SKEW:
        raise CallbackRefused("invalid_state", "This sign-in took longer than an hour. Begin again.")
    # RFC 9207: an answer with a different issuer is a mix-up attack.
    issuer = given.get("iss")
    if issuer is not None and pending.issuer is not None and not _same_issuer(issuer, pending.issuer):
        raise CallbackRefused("invalid_state", "The answer came from another provider than the one you were sent to.")
    error = given.get("error")
    if error is not None:
        raise _refused_there(error, given.get("error_description", ""))
    code = given.get("code")
    if not code:
        raise CallbackRefused("server_error", "The provider sent you back without a code. Try again.")
    return code


def check_granted(app: App, tokens: Tokens) -> None:
    """Raise `CallbackRefused` if a scope for mail was not granted."""
    missing = missing_scopes(app, tokens.scopes)
    if missing:
        raise CallbackRefused(
            "missing_scope",
            f"{app.called} was not allowed to give access to the mail ({', '.join(missing)}). Sign in again and leave "
            "every box ticked.",
        )


def check_lasting(app: App, tokens: Tokens) -> None:
    """Raise `CallbackRefused` for a sign-in that ends with its first access token, as it came without a refresh token.

    It would also replace an earlier sign-in that lasts.
    """
    if tokens.refresh_token is None and tokens.expires_in is not None:
        raise CallbackRefused(
            "missing_scope",
            f"{app.called} gave access for {_length(tokens.expires_in)} only (no refresh token). The operator of this "
            "service has the app ask for lasting access, mostly by the scope offline_access",
        )


def _length(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def identity(app: App, tokens: Tokens, pending: Pending, now: float) -> Identity | None:
    """Who signed in, from the id token; None without one. Raises `CallbackRefused` for an id token not meant for us."""
    claims = checked_claims(app, tokens, pending, now)
    return None if claims is None else identity_of(app, claims)


def checked_claims(app: App, tokens: Tokens, pending: Pending, now: float) -> dict[str, Any] | None:
    """The claims of the id token; None without one. Raises `CallbackRefused` for an id token not meant for us."""
    if tokens.id_token is None:
        return None
    try:
        claims = claims_of(tokens.id_token)
        _check_claims(claims, app, pending, now)
    except ValueError as error:
        raise CallbackRefused("server_error", f"The provider's id token cannot be used: {error}.") from error
    return claims


def identity_of(app: App, claims: Mapping[str, Any]) -> Identity:
    """Who signed in, from the claims of an id token or a userinfo endpoint."""
    names = ("preferred_username", "email", "upn") if app.provider.startswith("outlook") else _USER_MEMBERS
    user = next((value for each in names if "@" in (value := _line(claims.get(each)))), None)
    name = next((value for each in _NAME_MEMBERS if (value := _line(claims.get(each)))), None)
    if claims.get("email_verified") is False and user == _line(claims.get("email")):
        # An unverified address may be another person's; the mail server decides by the token anyway.
        user = None
    return Identity(user=user, name=name, also=_vouched_for(app, claims) if user is not None else ())


_SHARED_TENANTS = ("", "common", "organizations", "consumers")


def _vouched_for(app: App, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The address of a mailbox whose user has another name, as often at Microsoft.

    Its `email` claim is whatever the user's tenant says. It counts if that tenant is the app's own, has proved to own
    the domain (`xms_edov`), or has a user name in that domain, which proves it too.
    """
    email = _line(claims.get("email"))
    if not app.provider.startswith("outlook") or "@" not in email:
        return ()
    users = [_line(claims.get(each)) for each in ("preferred_username", "upn")]
    domain = email.rpartition("@")[2].casefold()
    of_their_domain = any("@" in each and each.rpartition("@")[2].casefold() == domain for each in users)
    proved = claims.get("xms_edov") in (True, 1, "1", "true")
    return (email,) if of_their_domain or proved or app.authority not in _SHARED_TENANTS else ()


def _line(value: object) -> str:
    """A claim that may stand in a login and in a header; empty for another one."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text if text.isprintable() and len(text) <= LONGEST_CLAIM else ""


_USER_MEMBERS = ("email", "default_email", "preferred_username", "upn")
_NAME_MEMBERS = ("name", "real_name", "display_name")


def _check_claims(claims: Mapping[str, Any], app: App, pending: Pending, now: float) -> None:
    """OpenID Connect Core 1.0 section 3.1.3.7. Raises `ValueError`."""
    issuer = claims.get("iss")
    if pending.issuer is not None and not (isinstance(issuer, str) and _same_issuer(issuer, pending.issuer)):
        raise ValueError("another issuer made it")
    audience = claims.get("aud")
    if app.client_id not in (audience if isinstance(audience, list) else [audience]):
        raise ValueError("it is for another client")
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or expires < now - CLOCK_SKEW:
        raise ValueError("it has expired")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not _same(nonce, pending.nonce):
        raise ValueError("it belongs to another sign-in")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _same_issuer(given: str, expected: str) -> bool:
    given, expected = given.rstrip("/"), expected.rstrip("/")
    if given == expected or f"https://{given}" == expected:
        return True
    # With Microsoft's shared tenants, the issuer is the user's own tenant.
    start, shared, end = expected.rpartition("/common/")
    if not shared:
        start, shared, end = expected.rpartition("/organizations/")
    if not shared:
        start, shared, end = expected.rpartition("/consumers/")
    tenant = given.removeprefix(f"{start}/").removesuffix(f"/{end}")
    return bool(shared) and given == f"{start}/{tenant}/{end}" and "/" not in tenant


def _refused_there(error: str, described: str) -> CallbackRefused:
    said = " ".join(described.split())[:300]
    if error in ("access_denied", "consent_required", "login_required", "interaction_required"):
        return CallbackRefused("access_denied", f"The sign-in was cancelled or refused{f': {said}' if said else '.'}")
    if error in ("temporarily_unavailable", "server_error"):
        return CallbackRefused("server_error", "The provider has a temporary fault. Try again in a few minutes.")
    short = " ".join(error.split())[:100]
    return CallbackRefused("server_error", f"The provider refused the sign-in ({short}){f': {said}' if said else '.'}")


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
