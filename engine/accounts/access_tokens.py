"""Logins with what an account's token keeper or the auth server has; after a refusal, once more with a new one.

A login that is refused again counts as a refused login. If there is no token at all, nothing is dialled, and the state
of the server stays unknown: for IMAP that is a `TokenError`, for SMTP a `DeliveryError` at `Stage.TOKEN`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from engine.errors import EngineError, LoginRefused
from engine.imap.session import ImapEndpoint, ImapSession
from engine.model.registration import ServerName
from engine.oauth.errors import TokenError
from engine.queue.outgoing_server import Connect
from engine.sasl import Credentials
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpSession
from engine.smtp.verdict import Kind, Stage, Verdict

_Endpoint = TypeVar("_Endpoint", ImapEndpoint, SmtpEndpoint)
_Session = TypeVar("_Session", ImapSession, SmtpSession)

_EXPIRED = "AccessTokenExpired"
"""Microsoft's word for it, with which it ends a session, or the connection on which one is to begin."""


class Secret(Protocol):
    """An access token, or a password."""

    @property
    def secret(self) -> str:
        """Itself."""

    def into(self, credentials: Credentials) -> Credentials:
        """A login with it."""


class LoginSource(Protocol):
    """The source of logins: the account's `Keeper`, or its `AuthServerLogins`."""

    @property
    def ready(self) -> bool:
        """Whether one is available without a request."""

    @property
    def obstacle(self) -> TokenError | None:
        """Why none is requested now."""

    async def token(self) -> Secret:
        """A token to log in with. Raises `TokenError`."""

    async def after_refusal(self, server: str, refused: str, /) -> Secret | None:
        """A token for one more login; None: the refusal counts. Raises `TokenError`."""

    async def accepted(self, server: str, used: str, /) -> None:
        """A login has succeeded."""

    async def recovers(self, error: TokenError, /) -> None:
        """Return once one may be available again."""


class AccessTokens:
    """The logins of one account at one of its servers."""

    def __init__(self, source: LoginSource, server: ServerName) -> None:
        self.source = source
        self._server = server
        self.error: TokenError | None = None
        """Why there was none when one was wanted last."""
        self._used: str | None = None

    async def session(
        self,
        endpoint: _Endpoint,
        connect: Callable[[_Endpoint], Awaitable[_Session]],
        leave: Callable[[_Session], Awaitable[object]],
    ) -> _Session:
        """A session made by `connect` with a token in the endpoint. `leave` closes one that no caller gets.

        Raises `TokenError`, and what `connect` raises. Cancelled: nothing stays open.
        """
        try:
            token = await self.source.token()
            try:
                session = await connect(_with(endpoint, token))
            except EngineError as error:
                again = await self.source.after_refusal(self._server, token.secret) if _is_refusal(error) else None
                if again is None:
                    raise
                token = again
                session = await connect(_with(endpoint, token))
            self._used = token.secret
            try:
                await self.source.accepted(self._server, token.secret)
            except BaseException:
                await leave(session)
                raise
        except TokenError as error:
            self.error = error
            raise
        return session

    async def ended(self, error: EngineError) -> None:
        """A session has ended: if its token is the reason, the next login uses another one."""
        if self._used is None or _EXPIRED not in str(error):
            return
        try:
            await self.source.after_refusal(self._server, self._used)
        except TokenError:
            pass  # the next login is told

    async def recovers(self) -> None:
        """Return once a token may be available again."""
        if self.error is not None:
            await self.source.recovers(self.error)


class SmtpLogins(AccessTokens):
    """The same for the outbox lane."""

    def __init__(self, source: LoginSource) -> None:
        super().__init__(source, "smtp")

    async def log_in(self, endpoint: SmtpEndpoint, connect: Connect) -> SmtpSession:
        """A session that is logged in. Raises `DeliveryError`. Cancelled: nothing stays open."""
        try:
            return await self.session(endpoint, connect, SmtpSession.close)
        except TokenError as error:
            raise DeliveryError(_verdict(error), {}, dot_sent=False) from error

    def lacking(self) -> Verdict | None:
        """Why no login is possible now, if that is known without a request; None: one may be."""
        error = None if self.source.ready else self.source.obstacle
        if error is None:
            return None
        self.error = error
        return _verdict(error)


def _verdict(error: TokenError) -> Verdict:
    return Verdict(Kind.LATER, Stage.TOKEN, None, None, str(error))


def _with(endpoint: _Endpoint, token: Secret) -> _Endpoint:
    credentials = endpoint.credentials
    assert credentials is not None
    return msgspec.structs.replace(endpoint, credentials=token.into(credentials))


def _is_refusal(error: EngineError) -> bool:
    """Whether another token may help."""
    if isinstance(error, DeliveryError):
        return error.verdict.kind is Kind.LOGIN_REFUSED
    return (isinstance(error, LoginRefused) and not error.temporary) or _EXPIRED in str(error)
