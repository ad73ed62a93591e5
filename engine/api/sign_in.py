"""How accounts sign in with OAuth2: what a registration asks for, the link at which a person signs in, the token."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from msgspec import UNSET

from engine.accounts import registration as records
from engine.accounts.account import Account
from engine.accounts.form_links import LinkTooLong, NoServiceUrl, address_or_none
from engine.accounts.oauth_registration import SigningIn, asked, usable_app
from engine.api.context import Context, find_account
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.isotime import iso
from engine.masking import MASK
from engine.oauth.errors import TokenError
from engine.oauth.grant import Grant
from engine.schema.account import AccountCreate, AccountUpdate
from engine.schema.authentication import AuthenticationForm
from engine.schema.fields import AccountId
from engine.schema.sign_in import OAuthLogin, OAuthState, OAuthToken, OAuthUpdate, OAuthUserShown
from engine.store import grants

log = logging.getLogger("engine.api")

_EXPOSE = "enableOAuthTokensApi"


class Parked(msgspec.Struct, frozen=True):
    """A registration that waits for a sign-in; `narrowed`: requested with a token for its account alone."""

    given: dict[str, Any]
    user: str
    delegated: str
    narrowed: bool


def signing_in(context: Context, given: AccountCreate | AccountUpdate, stored: Account | None) -> SigningIn | None:
    """How an account signs in after a request; None: as before. Raises `Problem` 400."""
    if given.oauth2 is UNSET:
        return None
    if not isinstance(given.oauth2, OAuthLogin | OAuthUpdate):
        return SigningIn()
    held = grant_of(stored)
    provider = given.oauth2.provider
    if isinstance(given.oauth2, OAuthUpdate) and given.oauth2.partial and provider is UNSET and stored is not None:
        before = records.sign_in_of(stored.record)
        provider = UNSET if before is None else before.provider
    app = usable_app(provider, context.oauth.book, sandbox=context.access.sandbox is not None)
    record = stored.record if stored is not None else None
    return asked(given.oauth2, record, held, app, context.world.now())


async def consent_url(context: Context, given: AccountCreate, login: OAuthLogin, *, narrowed: bool) -> str:
    """The URL at which a person signs in, after which the account is registered. Raises `Problem`."""
    app = usable_app(login.provider, context.oauth.book, sandbox=context.access.sandbox is not None)
    if not app.signs_in:
        raise invalid("oauth2.authorize", f"is not possible: nobody signs in through an app of {app.of.name}")
    if (account := context.registry.get(given.account or "")) is not None and account.unreadable is not None:
        account = None
    auth = login.auth
    user, shared = (auth.user or "", auth.delegated_user or "") if auth is not UNSET else ("", "")
    if not shared and account is not None and (before := records.sign_in_of(account.record)) is not None:
        shared = before.auth.delegated_user or "" if auth is UNSET else shared
    plain = msgspec.structs.replace(given, oauth2=UNSET, expected_email=UNSET)
    parked = Parked(msgspec.to_builtins(plain), user, shared, narrowed)
    assert login.redirect_url is not UNSET
    form = AuthenticationForm(
        account=given.account,
        name=given.name,
        email=address_or_none(user),
        expected_email=given.expected_email,
        delegated=bool(shared),
        redirect_url=login.redirect_url,
        type=app.id,
    )
    try:
        return await context.form_links.url(form, msgspec.json.encode(parked).decode())
    except LinkTooLong as error:
        raise Problem(400, str(error), code="LinkTooLong") from error
    except NoServiceUrl as error:
        raise Problem(
            409,
            "The sign-in needs the URL at which browsers reach this engine: set serviceUrl with POST /v1/settings",
            code="MissingServiceURLSetup",
        ) from error


async def revoke(context: Context, account: Account, grant: Grant) -> None:
    """Have the provider forget what was granted to an account that is gone. What goes wrong is in the log.

    Many providers forget all that the user granted to the app. So nothing is revoked while another account needs it.
    """
    token, app = grant.refresh_token or grant.access_token, account.sign_in.app
    if app is None or token is None or not app.signs_in:
        return  # an app that speaks for itself has no grant
    if others := grants.of_user(context.store.reader, grant.app, grant.user):
        text = "the grant is not revoked, since the same user has signed in for %s too"
        log.warning(text, ", ".join(others), extra={"account": account.id})
        return
    try:
        if not await account.sign_in.requests().revoke(app, token):
            log.warning("%s has no way to revoke a grant", app.of.name, extra={"account": account.id})
    except TokenError as error:
        log.warning("the grant was not revoked: %s", error, extra={"account": account.id})


def grant_of(account: Account | None) -> Grant | None:
    """The tokens an account has."""
    keeper = account.sign_in.keeper if account is not None else None
    return None if keeper is None else keeper.grant


def shown_sign_in(account: Account) -> OAuthState | msgspec.UnsetType:
    """How an account signs in, as answers show it."""
    sign_in, grant = records.sign_in_of(account.record), grant_of(account)
    if sign_in is None:
        return UNSET
    user = OAuthUserShown(user=sign_in.auth.user, delegated_user=sign_in.auth.delegated_user)
    shown = OAuthState(provider=sign_in.provider, auth=user, redirect_url=sign_in.redirect_url)
    if grant is None:
        return shown
    times = {
        "generated": grant.obtained if grant.access_token is not None else None,
        "expires": grant.expires if grant.access_token is not None else None,
        "refresh_token_generated": grant.refresh_obtained if grant.refresh_token is not None else None,
    }
    return msgspec.structs.replace(
        shown,
        access_token=MASK if grant.access_token is not None else UNSET,
        refresh_token=MASK if grant.refresh_token is not None else UNSET,
        scope=grant.scopes or UNSET,
        **{name: UNSET if time is None else iso(time) for name, time in times.items()},
    )


@operation(
    "GET",
    "/v1/account/{account}/oauth-token",
    access=Access.PATH,
    scope="oauth-token",
    tags=("Account",),
    errors={
        403: "The setting `enableOAuthTokensApi` is off (`ApiEndpointDisabled`), the account does not sign in with "
        "OAuth2 (`AccountNotOAuth2`), or no token can be had (`OauthRenewError`).",
    },
)
async def token(context: Context, account: AccountId) -> OAuthToken:
    """Read an account's access token.

    The token opens all of the account's mail, for reading and sending, so this requires the setting
    `enableOAuthTokensApi` and an API token with the scope `oauth-token`. It is valid until `expires`; the refresh token
    is never shown.
    """
    if context.settings.values.enable_o_auth_tokens_api is not True:
        text = f"Disabled API endpoint: set {_EXPOSE} to true with POST /v1/settings"
        raise Problem(403, text, code="ApiEndpointDisabled")
    found = find_account(context, account)
    sign_in, keeper = records.sign_in_of(found.record), found.sign_in.keeper
    if sign_in is None or keeper is None:
        raise Problem(403, "Not an OAuth2 account", code="AccountNotOAuth2")
    cached = keeper.ready
    try:
        token = await keeper.token()
    except TokenError as error:
        text = f"{error}. {error.hint}" if error.hint else str(error)
        raise Problem(403, f"Failed to renew the access token: {text}", code="OauthRenewError") from error
    app = found.sign_in.app
    return OAuthToken(
        account=found.id,
        user=token.user,
        access_token=token.access_token,
        provider=app.provider if app is not None else "oauth2",
        app=sign_in.provider,
        registered_scopes=keeper.grant.scopes or UNSET,
        expires=UNSET if token.expires is None else iso(token.expires),
        cached=cached,
    )
