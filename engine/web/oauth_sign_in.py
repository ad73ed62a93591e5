"""Sign-in at an OAuth2 provider: the browser goes there with a `state` and returns to `/oauth` with a code.

The callback is checked before the code is used, and the provider's statement of who signed in is checked before
anything is stored. The provider never learns the URL of the link.
"""

from __future__ import annotations

import logging
from urllib.parse import urlencode, urlsplit

from quart import Response

from engine.accounts import registration as records
from engine.accounts.form_links import FormLink, LinkRefused
from engine.api.context import Context
from engine.api.oauth2 import redirect_url
from engine.edge.client_disconnect import carry_through
from engine.http.html_pages import PageRequest
from engine.oauth import authorization
from engine.oauth.answers import Tokens
from engine.oauth.app_state import AppState
from engine.oauth.apps import App
from engine.oauth.authorization import CallbackRefused, Identity, Pending
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.expected_email import check_expected
from engine.oauth.sign_ins import OtherBrowser, SignIn, cookie_name
from engine.store import grants
from engine.web import form_outcome, sandbox_provider
from engine.web.form_outcome import NotConnected
from engine.web.form_registration import SignedIn, register, registration
from engine.web.rendering import redirect

log = logging.getLogger("engine.web")


class SignInPages:
    """Sends browsers to a provider and handles their return."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._oauth = context.oauth
        self._sign_ins = context.sign_ins

    def apps(self) -> list[App]:
        """The apps through which people can sign in."""
        sandbox = self._context.access.sandbox is not None
        return [
            made.app
            for made in self._oauth.book.made.values()
            if made.state.usable and made.app.signs_in and (sandbox or made.app.provider != "sandbox")
        ]

    async def begin(self, app: App, link: FormLink, asked: PageRequest) -> Response:
        """Send the browser to the provider. Raises `NotConnected`."""
        world = self._context.world
        back = redirect_url(self._context, app)
        if back is None:
            raise NotConnected("server_error", "The engine does not know where it is reached", link.form)
        try:
            endpoints = await self._oauth.requests.endpoints(app)
            url, pending = authorization.begin(
                app,
                endpoints,
                back,
                world.token_bytes,
                world.now(),
                login_hint=self._login_hint(link, app),
            )
        except (TokenError, ValueError) as error:
            log.warning("no one can sign in through the OAuth2 app %s: %s", app.id, error)
            text = f"{app.called} cannot be reached at the moment. Try again in a minute"
            raise NotConnected("server_error", text, link.form, _again(link, "new")) from error
        secure = urlsplit(back).scheme == "https"
        browser = self._sign_ins.browser(asked.cookies, secure=secure)
        await self._sign_ins.keep(link.nonce, pending, link.data, link.sig, browser)
        response = redirect(sandbox_provider.local(url) if app.provider == "sandbox" else url)
        response.set_cookie(
            cookie_name(secure=secure),
            browser,
            max_age=int(authorization.REMEMBERED),
            path="/",
            secure=secure,
            httponly=True,
            samesite="Lax",
        )
        return response

    async def callback(self, asked: PageRequest) -> Response:
        """Handle `/oauth`, to which the browser returns."""
        try:
            return await carry_through(self._end(asked))
        except NotConnected as reason:
            return form_outcome.not_connected(reason)

    async def _end(self, asked: PageRequest) -> Response:
        state = asked.query.get("state", "")
        sign_in = self._found(state, asked)
        link = self._link_of(sign_in)
        again = _again(link, "accounts/new")
        try:
            await self._sign_ins.take(state)
            code = authorization.code_of(sign_in.pending, asked.query, self._context.world.now())
            app_state = self._usable(sign_in.pending.app)
            signed_in = await self._signed_in(app_state, sign_in.pending, code, link)
        except CallbackRefused as refused:
            raise NotConnected(refused.error, str(refused), link.form, again) from None
        connecting = registration(self._context, link, signed_in, self._known(link, signed_in))
        return await register(self._context, link, connecting, asked.address)

    def _found(self, state: str, asked: PageRequest) -> SignIn:
        given = [asked.cookies.get(cookie_name(secure=secure), "") for secure in (True, False)]
        try:
            return self._sign_ins.find(state, next(filter(None, given), ""))
        except OtherBrowser as refused:
            # The caller is told, but a stranger gets no link with which to begin again.
            raise NotConnected(refused.error, str(refused), self._link_of(refused.sign_in).form) from None
        except CallbackRefused as refused:
            raise NotConnected(refused.error, str(refused), None) from None

    def _link_of(self, sign_in: SignIn) -> FormLink:
        """The link that began a sign-in. Raises `NotConnected`."""
        try:
            return self._context.form_links.read(sign_in.data, sign_in.sig, at=sign_in.pending.began)
        except LinkRefused as refused:
            raise NotConnected("link_invalid", str(refused), refused.form) from None

    def _usable(self, app: str) -> AppState:
        state = self._oauth.book.state(app)
        if not state.usable:
            raise CallbackRefused("server_error", "This way of signing in no longer works. Choose another one")
        return state

    async def _signed_in(self, state: AppState, pending: Pending, code: str, link: FormLink) -> SignedIn:
        """Exchange the code and check the result. Raises `CallbackRefused`."""
        app = state.app
        assert app is not None
        try:
            tokens = await self._oauth.requests.exchange(app, code, pending.verifier, pending.redirect_url)
            authorization.check_granted(app, tokens)
            authorization.check_lasting(app, tokens)
            identity = await self._identity(app, tokens, pending)
        except TokenError as error:
            log.warning("a sign-in through the OAuth2 app %s did not work: %s. %s", app.id, error, error.hint or "")
            if error.trouble is Trouble.APP_BROKEN:
                await state.failed("", error)
                raise CallbackRefused(
                    "server_error", f"{app.called} does not accept this service. Its operator has been told"
                ) from error
            raise CallbackRefused("server_error", f"{app.called} did not let you in. Sign in once more") from error
        await state.worked("")
        check_expected(identity, link.form.expected_email or None)
        told = identity.user if identity is not None else None
        user = told or link.form.email or None
        if user is None:
            raise CallbackRefused("server_error", f"{app.called} does not tell which address is yours")
        return SignedIn(app, user, told is not None, identity.name if identity is not None else None, tokens)

    async def _identity(self, app: App, tokens: Tokens, pending: Pending) -> Identity | None:
        found = authorization.identity(app, tokens, pending, self._context.world.now())
        if found is not None and found.user is not None:
            return found
        claims = await self._oauth.requests.userinfo(app, tokens.access_token)
        return authorization.identity_of(app, claims) if claims else found

    def _known(self, link: FormLink, signed_in: SignedIn) -> str | None:
        """The existing account: the link's, or one for which this user has signed in before."""
        if link.form.account is not None:
            return link.form.account
        if link.form.delegated or not signed_in.told:
            return None
        found = grants.of_user(self._context.store.reader, signed_in.app.id, signed_in.user)
        return next((account for account in found if self._is_their_own(account)), None)

    def _is_their_own(self, account: str) -> bool:
        known = self._context.registry.get(account)
        sign_in = records.sign_in_of(known.record) if known is not None else None
        return sign_in is not None and not sign_in.auth.delegated_user

    def _login_hint(self, link: FormLink, app: App) -> str | None:
        row = None
        if link.form.account is not None:
            row = grants.get(self._context.store.reader, link.form.account)
        if row is not None and row.app == app.id:
            return row.user
        return link.form.expected_email or (None if link.form.delegated else link.form.email) or None


def _again(link: FormLink, page: str) -> str:
    """The URL at which to start over, relative to the current page."""
    return f"{page}?{urlencode({'data': link.data, 'sig': link.sig})}"
