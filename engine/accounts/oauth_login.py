"""The logins of one account that are not in its registration: tokens of its keeper, or logins from the auth server.

It follows changes of app and grant. Tokens are requested through the account's own proxy, if it has one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from engine.accounts import registration as records
from engine.accounts.access_tokens import AccessTokens, LoginSource, SmtpLogins
from engine.accounts.server_access import ServerAccess
from engine.imap.session import ImapEndpoint
from engine.model.registration import SERVERS, Registration, ServerName
from engine.model.waiting import Waiting, WaitingKind
from engine.oauth.answers import user_of_token
from engine.oauth.app_state import AppState
from engine.oauth.apps import App
from engine.oauth.auth_server_logins import AuthServerLogins
from engine.oauth.errors import Trouble
from engine.oauth.keeper import Herald, Keeper
from engine.oauth.keepers import OAuth
from engine.oauth.token_requests import TokenRequests
from engine.smtp.session import SmtpEndpoint


class SignIn:
    """The logins of one account. `run` and `follow` are its services; they wait while the account does not sign in.

    `keeper` is None then, and if its tokens are lost.
    """

    def __init__(self, record: Registration, oauth: OAuth, access: ServerAccess, herald: Herald) -> None:
        self._record = record
        self._oauth = oauth
        self._access = access
        self._herald = herald
        self._changed = trio.Event()
        self._keeper_changed = trio.Event()
        self.keeper: Keeper | None = None
        self.smtp: SmtpLogins | None = None
        self._asked: dict[ServerName, AuthServerLogins] = {}
        """For the servers at which the auth server says how to log in."""
        oauth.keepers.forget(record.account)  # one for another object of the same account
        self.change(record)

    def change(self, record: Registration) -> None:
        """Continue with a changed registration, and with the grant that is on disk now."""
        is_another_way = (record.proxy, record.local_address) != (self._record.proxy, self._record.local_address)
        self._record = record
        before, sign_in = self.keeper, records.sign_in_of(record)
        if sign_in is not None:
            self.keeper = self._oauth.keepers.take(record.account, self._herald)
        elif before is not None:
            self.forget()
        if self.keeper is not None:
            self.keeper.ask_through(self.requests())
            if is_another_way:
                self.keeper.stop_resting()
        if self.keeper is not before:
            self._keeper_changed.set()
        server = self._oauth.auth_server
        self._asked = {
            each: AuthServerLogins(server, record.account, each)
            for each in SERVERS
            if records.asks_auth_server(record, each)
        }
        source = self._source("smtp")
        if self.smtp is None or self.smtp.source is not source:
            self.smtp = None if source is None else SmtpLogins(source)
        self._changed.set()

    def change_routes(self) -> None:
        """The settings lead another way to the provider, unless the account has a proxy of its own."""
        if self.keeper is not None and not self._record.proxy:
            self.keeper.stop_resting()

    def ask_now(self) -> None:
        """Someone who may know better wants no more waiting for the provider."""
        if self.keeper is not None:
            self.keeper.stop_resting()

    def forget(self) -> None:
        """The account is gone, or no longer signs in."""
        self.keeper = None
        self._oauth.keepers.forget(self._record.account)

    @property
    def app(self) -> App | None:
        """The app through which the account signs in; None: it does not, or there is no such app."""
        return self.app_of(self._record)

    def app_of(self, record: Registration) -> App | None:
        """The same for another registration of the account."""
        sign_in = records.sign_in_of(record)
        made = None if sign_in is None else self._oauth.book.made.get(sign_in.provider)
        return None if made is None else made.state.app

    def imap(self, endpoint: ImapEndpoint) -> AccessTokens | None:
        """The logins at the IMAP server; None if the endpoint has them."""
        source = self._source("imap") if records.is_told_later(self._record, endpoint) else None
        return None if source is None else AccessTokens(source, "imap")

    def smtp_at(self, endpoint: SmtpEndpoint) -> SmtpLogins | None:
        """The same at the SMTP server."""
        return self.smtp if records.is_told_later(self._record, endpoint) else None

    def user_at(self, server: str) -> str | None:
        """Whose token is used at a server; None: unknown, or there is none."""
        config, sign_in = getattr(self._record, server), records.sign_in_of(self._record)
        token = getattr(getattr(config, "auth", None), "access_token", None)
        if sign_in is not None and not token and self.keeper is not None:
            token = self.keeper.grant.access_token
        return (user_of_token(token) if token else None) or (sign_in.auth.user if sign_in is not None else None)

    def _source(self, server: ServerName) -> LoginSource | None:
        return self._asked.get(server) or self.keeper

    def requests(self) -> TokenRequests:
        """How to reach the account's provider."""
        record = self._record
        wire = self._access.provider_wire(partial(self._access.routes.of_account, record, None))
        return self._oauth.requests.through(wire, queued=not record.proxy)

    def waiting(self, waiting: Waiting) -> Waiting:
        """What mail waits for, if the lane only knows that it has no server or no token."""
        keeper = self.keeper
        trouble = keeper.obstacle if keeper is not None and not (keeper.ready and self.app) else None
        if trouble is None or waiting.kind not in ("smtp", "connection"):
            return waiting
        kind: WaitingKind = "login" if trouble.trouble is Trouble.GRANT_GONE else "connection"
        return Waiting(kind, waiting.since, waiting.until, f"{trouble}. {trouble.hint or ''}".strip())

    async def run(self) -> None:
        """Keep the tokens. Only another keeper, or the account's end, cuts a refresh short."""
        while True:
            self._keeper_changed = trio.Event()
            async with trio.open_nursery() as nursery:
                if self.keeper is not None:
                    nursery.start_soon(self.keeper.run)
                await self._keeper_changed.wait()
                nursery.cancel_scope.cancel()

    async def follow(self, *, app_changed: Call, has_token: Call, ended: Call) -> None:
        """Call `app_changed` when the app has changed, `has_token` while there is one, `ended` once the grant has."""
        while True:
            self._changed = trio.Event()
            async with trio.open_nursery() as nursery:
                if (sign_in := records.sign_in_of(self._record)) is not None:
                    nursery.start_soon(_follow_app, self._oauth.book.state(sign_in.provider), app_changed)
                if self.keeper is not None:
                    nursery.start_soon(_follow_grant, self.keeper, has_token, ended)
                if (asked := self._asked.get("smtp")) is not None:
                    nursery.start_soon(_follow_auth_server, asked, has_token)
                await self._changed.wait()
                nursery.cancel_scope.cancel()


Call = Callable[[], None]


async def _follow_app(app: AppState, changed: Call) -> None:
    while True:
        await app.moved.wait()
        changed()


async def _follow_auth_server(asked: AuthServerLogins, has_token: Call) -> None:
    while True:
        await asked.moves()
        has_token()


async def _follow_grant(keeper: Keeper, has_token: Call, ended: Call) -> None:
    was_gone = keeper.grant.gone is not None
    while True:
        if keeper.ready:
            has_token()
        gone = keeper.grant.gone is not None
        if gone and not was_gone:
            ended()
        was_gone = gone
        await keeper.moves()
