"""Checks an OAuth2 app step by step: each step described in words, each failure with what to do about it.

Nothing is stored. A token request with an invalid code shows whether the provider knows the client, without a sign-in.
The sign-in page is requested but not followed. If an account is named, its granted scopes are checked, and whether its
token opens the mailbox. All goes the way on which the engine otherwise goes: by the proxy and the local address of the
account, else by the proxy of the settings.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import trio

from engine.accounts import registration as records
from engine.accounts import remedies
from engine.accounts.account import Account
from engine.accounts.login_hints import hint as login_hint
from engine.accounts.server_access import ServerAccess
from engine.errors import LoginRefused, NetworkError, ProtocolError
from engine.imap.session import CommandRefused, ImapEndpoint
from engine.oauth import authorization
from engine.oauth.answers import user_of_token
from engine.oauth.apps import App, mail_scopes, missing_scopes
from engine.oauth.assertions import service_key
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.keeper import Token
from engine.oauth.keepers import OAuth
from engine.oauth.sign_in_page import BAD_SCOPES, BUSY, LATER, fault_of_page
from engine.oauth.unanswered import AGAIN
from engine.sasl import Credentials
from engine.schema.oauth2 import NEEDED, VerifyStep, on_the_wire
from engine.smtp.named_refusals import Who, named
from engine.transport import TlsRules
from engine.world import Dial

LOGIN_SECONDS = 60.0
Id = Literal["config", "reachable", "client", "redirect", "scopes", "login"]
_LABELS: dict[Id, str] = {
    "config": "The app is complete",
    "reachable": "The provider can be reached",
    "client": "The provider knows the client",
    "redirect": "The redirect URL is accepted",
    "scopes": "The scopes for mail are granted",
    "login": "The mailbox can be opened",
}
_NOT_ASKED = "Not asked, since the provider does not answer as it should."


class AppCheck:
    """One check of an app. `name` is an account's id, or the mailbox that a service app is to open.

    `account` is the account of that name that signs in through the app; None: there is none.
    """

    def __init__(
        self,
        app: App,
        redirect_url: str | None,
        oauth: OAuth,
        access: ServerAccess,
        name: str | None,
        account: Account | None,
    ) -> None:
        self._app = app
        self._redirect_url = redirect_url
        self._access = access
        self._name = name
        self._account = account
        self._requests = oauth.requests if account is None else account.sign_in.requests()
        self._token: Token | None = None
        self._found: dict[Id, VerifyStep] = {}

    @property
    def steps(self) -> list[VerifyStep]:
        """The steps done so far, in order."""
        return [self._found[id] for id in _LABELS if id in self._found]

    async def run(self, *, login: bool) -> list[VerifyStep]:
        """Do all steps; those that are impossible are marked as skipped. Cancelled: nothing is left behind."""
        app = self._app
        self._look_at_config()
        if self._found["config"].status == "fail":
            for step in ("reachable", "client", *(("redirect",) if app.signs_in else ()), "scopes", "login"):
                self._skip(step, "The app is not complete.")
            return self.steps
        if app.signs_in:
            if await self._find_endpoints() and await self._ask_with_a_wrong_code():
                await self._ask_for_the_page()
            else:
                self._skip("client", _NOT_ASKED)
                self._skip("redirect", _NOT_ASKED)
            if "scopes" not in self._found:
                await self._look_at_grant()
        else:
            await self._ask_for_itself()
        if login:
            await self._log_in()
        else:
            self._skip("login", "Not requested.")
        return self.steps

    def _look_at_config(self) -> None:
        app = self._app
        missing = [on_the_wire(name) for name in NEEDED[app.provider] if not getattr(app, name)]
        if missing:
            self._fail("config", f"It lacks {', '.join(missing)}.", f"Set it: PUT /v1/oauth2/{app.id}.")
        elif app.signs_in and self._redirect_url is None:
            hint = "Set serviceUrl (POST /v1/settings), or redirectUrl on the app, and register it at the provider."
            self._fail("config", "There is no redirect URL: the app has none and serviceUrl is not set.", hint)
        elif app.provider == "oidc" and not (app.endpoints.issuer or (app.endpoints.token and app.endpoints.authorize)):
            self._fail("config", "It names neither an issuer nor endpoints.", "Set issuer.")
        elif app.service_key and (why := _wrong_key(app.service_key)):
            self._fail("config", f"serviceKey {why}.", "Make a new JSON key in the Google Cloud console.")
        elif not app.enabled:
            self._note("config", "It is not enabled: nobody can sign in through it.")
        else:
            self._note("config", None)

    async def _find_endpoints(self) -> bool:
        """Do the step `reachable` as far as discovery goes; return whether the endpoints are known."""
        try:
            await self._requests.endpoints(self._app)
        except TokenError as error:
            self._blame(error)
            return False
        return True

    async def _ask_with_a_wrong_code(self) -> bool:
        """Do the steps `reachable` and `client`; return whether the provider answered as it should."""
        try:
            await self._requests.exchange(self._app, "not-a-code", "v" * 43, self._redirect_url or "")
        except TokenError as error:
            if not self._has_answered(error):
                return False
            if error.trouble is Trouble.GRANT_GONE:
                self._note("client", None)
            elif error.error is None:
                self._fail("client", *_no_endpoint(error))
            elif error.whole_app or error.error == "unauthorized_client":
                self._fail("client", f"{error}.", error.hint)
            else:
                self._skip("client", f"The provider did not say; it answered: {error}.")
        else:
            self._note("reachable", None)
            self._note("client", None)
        return True

    def _has_answered(self, error: TokenError) -> bool:
        """Do the step `reachable`; return whether the error is an answer to what was asked."""
        status = error.status
        if error.request and status is not None and status < 500 and status != 429 and error.error not in BUSY:
            self._note("reachable", None)
            return True
        self._blame(error)
        return False

    def _blame(self, error: TokenError) -> None:
        """The step `reachable` fails."""
        status = error.status
        busy = status is not None and (status >= 500 or status == 429 or error.error in BUSY)
        self._fail("reachable", f"{error}.", LATER if busy else _way_out(error))

    async def _ask_for_the_page(self) -> None:
        """Do the step `redirect`; the page may also know better about the client and the scopes."""
        app, world, redirect = self._app, self._access.world, self._redirect_url or ""
        try:
            endpoints = await self._requests.endpoints(app)
            url, _ = authorization.begin(app, endpoints, redirect, world.token_bytes, world.now())
            answer = await self._requests.page(app, url)
        except (TokenError, ValueError) as error:
            hint = _way_out(error) if isinstance(error, TokenError) else "Set authorizationUrl."
            self._fail("redirect", f"The sign-in page cannot be requested: {error}.", hint)
            return
        fault = fault_of_page(answer.status, answer.headers.get("location", ""), answer.body, redirect, app.provider)
        if fault is None:
            self._note("redirect", f"The sign-in page says nothing against {redirect}.")
        elif fault.about in ("redirect", "passing"):
            self._fail("redirect", fault.text, fault.hint)
        elif fault.about == "scopes":
            self._note("redirect", None)
            self._fail("scopes", fault.text, fault.hint)
        else:
            self._skip("redirect", "The provider did not say, as it refuses the client.")
            if self._found["client"].status != "fail":
                self._fail("client", fault.text, fault.hint)

    async def _look_at_grant(self) -> None:
        if self._name is None:
            self._skip("scopes", "Name an account that signed in through the app.")
            return
        keeper = self._account.sign_in.keeper if self._account is not None else None
        if keeper is None:
            self._skip("scopes", f"Nobody has signed in through this app for the account {self._name}.")
            return
        try:
            self._token = await keeper.token()
        except TokenError as error:
            self._fail("scopes", f"{error}.", error.hint)
            return
        self._note_scopes(keeper.grant.scopes or None)

    async def _ask_for_itself(self) -> None:
        app, mailbox = self._app, self._name
        if self._account is not None and (keeper := self._account.sign_in.keeper) is not None:
            mailbox = keeper.grant.user
        try:
            tokens = await self._requests.for_itself(app, mailbox)
        except TokenError as error:
            if error.status is None and error.trouble is not Trouble.PASSING:
                self._skip("reachable", "There is nothing to ask with.")
                self._fail("client", f"{error}.", error.hint)
            elif not self._has_answered(error):
                self._skip("client", _NOT_ASKED)
            elif error.error is None:
                self._fail("client", *_no_endpoint(error))
            elif not self._is_about_mailbox(error):
                self._fail("client", f"{error}.", error.hint)
            else:
                self._note("client", None)
                if mailbox is not None:
                    self._fail("scopes", f"{error}.", error.hint)
                    return
            self._skip("scopes", "There is no token.")
            return
        self._note("reachable", None)
        self._note("client", None)
        if mailbox is None and app.of.grant == "jwt_bearer":
            self._skip("scopes", "Name a mailbox for which to request a token.")
            return
        if mailbox is not None:
            self._token = Token(mailbox, tokens.access_token, None)
        self._note("scopes", f"A token was issued for {', '.join(mail_scopes(app))}.")

    def _is_about_mailbox(self, error: TokenError) -> bool:
        """Whether a refusal is about what the app may open, so that the app itself is accepted."""
        if error.trouble is Trouble.GRANT_GONE or error.error in BAD_SCOPES:
            return True
        return self._app.of.grant == "jwt_bearer" and not error.whole_app

    async def _log_in(self) -> None:
        token = self._token
        if token is None:
            self._skip("login", "There is no token to try.")
            return
        server = self._endpoint(token)
        if server is None:
            self._skip("login", "The app names no IMAP server.")
            return
        endpoint = msgspec.structs.replace(server, credentials=token.into(server.credentials))
        try:
            with trio.fail_after(LOGIN_SECONDS):
                session = await self._access.connector.connect(endpoint, self._dial())
                try:
                    # Microsoft lets a token in and then opens no mailbox.
                    await session.select("INBOX", read_only=True)
                finally:
                    await session.logout()
        except (LoginRefused, CommandRefused) as error:
            signed_in = user_of_token(token.access_token) or token.user
            if (meant := named(error.response, Who(endpoint.credentials.user, signed_in))) is not None:
                self._fail("login", f"{meant.description} ({meant.code})", meant.hint)
            else:
                hint = login_hint(server.host, error.response, token=True)
                self._fail("login", f"{server.host} refuses the token: {error.response}.", hint)
        except (NetworkError, ProtocolError) as error:
            at = remedies.Server("imap", server.host, server.port, server.secure, endpoint.credentials.user)
            self._fail("login", f"{error}.", remedies.of_error(error, at).removesuffix(remedies.BY_ITSELF).strip())
        except trio.TooSlowError:
            self._fail("login", f"{server.host} did not answer within {LOGIN_SECONDS:g} s.", None)
        else:
            self._note("login", f"{server.host} let {endpoint.credentials.user} in.")

    def _endpoint(self, token: Token) -> ImapEndpoint | None:
        """The IMAP server to log in to: where the account does so with its token, else that of the app."""
        app = self._app
        if self._account is not None:
            known = records.imap_endpoint(self._account.record, app)
            if known is not None and records.wants_token(self._account.record, known):
                return known
        if app.imap_server is None:
            return None
        return ImapEndpoint(
            host=app.imap_server.host,
            port=app.imap_server.port,
            secure=app.imap_server.secure,
            tls=TlsRules(required=app.provider != "sandbox"),
            credentials=Credentials(
                user=token.user,
                password=None,
                access_token=None,
                server=(app.imap_server.host, app.imap_server.port),
                prefers=app.of.mechanisms,
            ),
        )

    def _dial(self) -> Dial:
        if self._app.provider == "sandbox":
            return self._access.dial(sandbox="", restricted=False)
        if self._account is None:
            return self._access.dial(sandbox=None, restricted=False, route=self._access.routes.of_settings())
        route = self._access.routes.of_account(self._account.record, "imap")
        return self._access.dial(sandbox=None, restricted="imap" in self._account.restricted, route=route)

    def _note_scopes(self, granted: tuple[str, ...] | None) -> None:
        missing = missing_scopes(self._app, granted)
        if missing:
            hint = "Have the owner of the mailbox sign in again and leave every box ticked."
            self._fail("scopes", f"Not granted: {', '.join(missing)}.", hint)
        else:
            self._note("scopes", None)

    def _note(self, id: Id, message: str | None) -> None:
        self._found[id] = VerifyStep(id=id, label=_LABELS[id], status="ok", message=message)

    def _skip(self, id: Id, message: str) -> None:
        self._found[id] = VerifyStep(id=id, label=_LABELS[id], status="skip", message=message)

    def _fail(self, id: Id, message: str, hint: str | None) -> None:
        message = message.replace("..", ".")
        step = VerifyStep(id=id, label=_LABELS[id], status="fail", message=message)
        if hint is not None:
            step = VerifyStep(id=id, label=_LABELS[id], status="fail", message=message, hint=hint)
        self._found[id] = step


def _way_out(error: TokenError) -> str | None:
    """Its hint for a check, after which nothing is asked again."""
    return error.hint and error.hint.removesuffix(AGAIN).strip()


def _no_endpoint(error: TokenError) -> tuple[str, str]:
    """What an answer is that no token endpoint gives, and what to do."""
    text = f"{error.request.get('url', '')} is no token endpoint: it answered {error.status} without an error."
    return text, "Check tokenUrl, or the issuer that names it: nothing there speaks OAuth2."


def _wrong_key(text: str) -> str | None:
    try:
        service_key(text)
    except ValueError as error:
        return str(error)
    return None
