"""Applies a request to how an account signs in: the app, the user, the tokens to keep.

New tokens replace the stored ones. If none are given, the stored ones stay, as long as it is the same user of the same
app. They also stay if they came from the refresh token given (`Keepers.save`): repeating the first registration of an
account does not end its grant.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from engine.errors import Problem
from engine.field_errors import FieldErrors, FieldPath, invalid
from engine.model.registration import OAuthSignIn, OAuthUser, Registration
from engine.oauth.app_book import AppBook
from engine.oauth.apps import App
from engine.oauth.grant import Grant, fingerprint
from engine.schema.sign_in import OAuthLogin, OAuthUpdate


class SigningIn(msgspec.Struct, frozen=True):
    """How an account signs in from now on. `sign_in` None: no longer. `grant` None: the one on disk stays.

    Storing `grant` fills in its account and, with `keeps_refresh_token`, its refresh token.
    """

    app: App | None = None
    sign_in: OAuthSignIn | None = None
    grant: Grant | None = None
    keeps_refresh_token: bool = False

    def applied(self, record: Registration) -> Registration:
        """The registration with it. An account is inside the engine if its app is the sandbox's."""
        inside = self.app is not None and self.app.provider == "sandbox"
        if self.sign_in is None:
            return msgspec.structs.replace(record, oauth2=False)
        sandbox = True if inside else False if record.sandbox is True else record.sandbox
        return msgspec.structs.replace(record, oauth2=self.sign_in, sandbox=sandbox)


def usable_app(provider: object, book: AppBook, *, sandbox: bool) -> App:
    """The app that a request names. Raises `Problem` 400; `sandbox`: whether the sandbox is switched on."""
    made = book.made.get(provider) if isinstance(provider, str) else None
    why = None
    if made is None:
        why = "is required" if provider is UNSET else "is not the id of an OAuth2 app"
    elif made.state.unreadable is not None:
        why = "is an OAuth2 app whose secrets cannot be read: set them again"
    elif not made.app.enabled:
        why = "is an OAuth2 app that is not enabled"
    elif made.app.provider == "sandbox" and not sandbox:
        why = "is an app of the sandbox, which is switched off"
    if made is None or why is not None:
        found = FieldErrors()
        found.add(FieldPath.of("oauth2.provider"), why or "")
        raise Problem(400, "Invalid or missing OAuth2 provider", fields=found.fields)
    return made.app


def asked(
    given: OAuthLogin | OAuthUpdate, stored: Registration | None, held: Grant | None, app: App, now: float
) -> SigningIn:
    """What a request wants. `held` is the grant on disk. Raises `Problem` 400 naming the member."""
    before = stored.oauth2 if stored is not None and isinstance(stored.oauth2, OAuthSignIn) else None
    partial = isinstance(given, OAuthUpdate) and given.partial and before is not None
    auth = given.auth
    user = auth.user if auth is not UNSET else UNSET
    delegated = auth.delegated_user if auth is not UNSET else UNSET
    if partial and before is not None:
        user = before.auth.user if user is UNSET else user
        delegated = before.auth.delegated_user if delegated is UNSET else delegated
    if not user:
        raise invalid("oauth2.auth.user", "is required")
    known = before.redirect_url if before is not None else UNSET
    sign_in = OAuthSignIn(provider=app.id, auth=OAuthUser(user=user, delegated_user=delegated), redirect_url=known)
    same = held is not None and held.app == app.id and held.user.casefold() == user.casefold()
    access, refresh = given.access_token or None, given.refresh_token or None
    if access is None and refresh is None and same:
        return SigningIn(app, sign_in)
    if access is None and refresh is None and app.signs_in:
        raise invalid("oauth2", "must contain at least one of [refreshToken, accessToken], or authorize")
    keeps = refresh is None and partial and same
    grant = Grant(
        account="",
        app=app.id,
        user=user,
        refresh_token=refresh if app.signs_in else None,
        access_token=access,
        obtained=None if access is None else now,
        expires=None if given.expires is UNSET else given.expires.timestamp(),
        refresh_obtained=None if refresh is None else now,
        given=fingerprint(refresh),
    )
    return SigningIn(app, sign_in, grant, keeps)
