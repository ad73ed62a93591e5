"""The token keeper of one account: provides access tokens and never loses a grant.

1. Only `run` refreshes the access token, some time before it expires, so at most one refresh is under way. Logins wait
   for it, unless the old access token is still valid.
2. Before a refresh token is used, that is recorded on disk. The answer is on disk before a login gets the new access
   token, so a kill in between loses nothing with a provider that accepts the old refresh token until the new tokens are
   used. A stop of the engine waits for a refresh under way. One that a kill interrupted is repeated at once after the
   start, while such providers still accept the old token; one that does not ends the grant, and the owner is told why.
3. The previous refresh token is kept until the new one has worked. It is used again only if a provider's old tokens
   stay valid (`added`); other providers take that for theft and end the grant.
4. A refused login forces one refresh and one more login; if that is refused too, the refusal counts (`after_refusal`).
   There is no further forced refresh for that server until a login there has succeeded. While the provider gives no
   other token, none is provided: a login with the refused one would be refused at once, over and over.
5. Errors have three classes. *Grant gone*: it is recorded with its event, and nothing is requested until the user signs
   in again. *App broken*: the app announces it once, and its accounts wait while one of them asks now and then.
   *Passing*: the refresh is repeated after 30 s, doubling to at most 10 minutes, or when the provider says, each
   account at its own time; logins that want a token meanwhile get the error at once. Open connections stay open.
   A changed app, proxy or local address ends the wait.
6. An access token that was given without a refresh token has no successor: it is used until it expires or is refused,
   and then the grant is gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import msgspec
import trio

from engine.oauth import grant as grants
from engine.oauth.answers import Tokens
from engine.oauth.app_state import AppState
from engine.oauth.apps import App
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.grant import Grant
from engine.oauth.http_client import SECONDS, TURN_SECONDS
from engine.oauth.refresh_schedule import wait_after
from engine.oauth.refresh_to_the_end import finished
from engine.oauth.token_requests import TokenRequests
from engine.sasl import Credentials
from engine.store import grants as rows
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World

REFRESH_SECONDS = 2 * (TURN_SECONDS + SECONDS) + 30.0
"""Maximum seconds for a refresh and its commits: more than its two requests can take. Cutting one short could lose a
refresh token."""
FINISH_SECONDS = 4.0
"""Maximum seconds that a refresh under way may still take when the engine stops."""
LOOK_AGAIN = 300.0
"""Seconds after which to check the wall clock again, since it may have been set."""
_LOST = (
    "An earlier refresh was cut off before its answer was stored: the engine was killed, or the connection broke. The "
    "provider most likely takes its refresh token no more for that reason. Have the owner of the mailbox sign in again."
)


class Token(msgspec.Struct, frozen=True):
    """An access token for a login. `user` is who signed in; `expires` is in seconds since 1970, None if unknown."""

    user: str
    access_token: str
    expires: float | None

    @property
    def secret(self) -> str:
        """What must not be shown of it."""
        return self.access_token

    def into(self, credentials: Credentials) -> Credentials:
        """A login with it, of the user that `credentials` name: the mailbox may be shared."""
        return msgspec.structs.replace(credentials, access_token=self.access_token)

    def __repr__(self) -> str:
        return f"Token(user={self.user!r}, expires={self.expires!r})"


class Herald(Protocol):
    """Announces the end of a grant."""

    def gone(self, tx: Tx, error: TokenError) -> None:
        """Announce it inside the commit that ends the grant; must not raise."""


class Keeper:
    """Keeps the tokens of one account. `run` is its service; use nothing else before that has started."""

    def __init__(
        self,
        grant: Grant,
        app: AppState,
        requests: TokenRequests,
        store: Store,
        vault: Vault,
        world: World,
        herald: Herald,
    ) -> None:
        self._grant = grant
        self._app = app
        self._requests = requests
        self._store = store
        self._vault = vault
        self._world = world
        self._herald = herald
        self._failures = 0
        self._rests_until = -math.inf
        self._error: TokenError | None = None
        self._edition, self._app_changes = app.edition, app.changes
        """The edition of the app that the error is about, and the number of its changes."""
        self._forced = False
        self._lost = grant.asked is not None
        """An answer was lost in transit, so the refresh token may be used up."""
        self._vanished = False
        """The account has no grant any more."""
        self._changing = trio.Lock()
        """Held while the grant changes, so that each change is based on the previous one's result."""
        self._spent: str | None = None
        """The access token that a server refused while no other was available."""
        self._forced_for: dict[str, str] = {}
        """The access token from a forced refresh, by server, until a login there has succeeded."""
        self._wanted = trio.Event()
        self._changed = trio.Event()
        self.refreshes = 0
        """Number of refreshes answered with a token."""

    @property
    def grant(self) -> Grant:
        """The grant, as on disk."""
        return self._grant

    @property
    def trouble(self) -> TokenError | None:
        """The current error; None if there is none."""
        gone = self._grant.gone
        return self._error if gone is None else _gone(gone)

    @property
    def ready(self) -> bool:
        """Whether there is a token to log in with, without asking for one."""
        return self._grant.gone is None and self._token() is not None

    @property
    def obstacle(self) -> TokenError | None:
        """Why no new token is available now, although the current one may still be valid."""
        return self._resting() if self._grant.gone is None else _gone(self._grant.gone)

    def ask_through(self, requests: TokenRequests) -> None:
        """Ask for tokens by another way from now on."""
        self._requests = requests

    def stop_resting(self) -> None:
        """Attempt now what failed: another way leads to the provider, so that it may work."""
        if self._error is not None:
            self._failures, self._rests_until = 0, -math.inf
            self._wanted.set()

    async def moves(self) -> None:
        """Return once something may have changed: the owner has signed in, or a refresh was attempted."""
        await self._changed.wait()

    async def recovers(self, error: TokenError) -> None:
        """Return once there is a token, or one may be available, or the reason for having none has changed."""
        while True:
            changed = self._changed
            if self.ready:
                return
            why = self.obstacle
            if why is None or why.shown() != error.shown():
                return
            await changed.wait()

    async def token(self) -> Token:
        """A token for a login. Raises `TokenError` if there is none for now, or none any more.

        Cancelled: nothing is lost.
        """
        while True:
            if self._grant.gone is not None:
                raise _gone(self._grant.gone)
            if (token := self._token()) is not None:
                return token
            self._forced = True
            await self._refreshed()

    async def after_refusal(self, server: str, refused: str) -> Token | None:
        """A token for one more login at `server` (`imap`, `smtp`), which refused `refused`; None: the refusal counts.

        Raises `TokenError` if no other token is available for now; the refusal then proves nothing. Until one may be
        available again, the refused one is not provided either, as each login with it would be refused.
        """
        if self._forced_for.get(server) == refused:
            return None
        before = self.refreshes
        try:
            while self._grant.access_token == refused and self.refreshes == before:
                self._forced = True
                await self._refreshed()
            token = await self.token()
        except TokenError:
            self._spent = refused
            raise
        self._forced_for[server] = token.access_token
        return token if token.access_token != refused else None

    async def accepted(self, server: str, access_token: str) -> None:
        """Note that a login at `server` with this token succeeded: the previous refresh token is no longer needed."""
        self._forced_for.pop(server, None)
        if self._grant.previous_token is None:
            return

        def worked(grant: Grant) -> Grant:
            is_its = access_token == grant.access_token
            return msgspec.structs.replace(grant, previous_token=None) if is_its else grant

        await self._change(self._grant.version, worked)

    def replace(self, grant: Grant, app: AppState) -> None:
        """Continue with the grant from a new sign-in, which is already on disk."""
        self._grant, self._app = grant, app
        self._forget_trouble()
        self._lost = self._vanished = False
        self._forced_for.clear()
        self._wanted.set()

    async def run(self) -> None:
        """Refresh until cancelled; a refresh then under way may take four more seconds. Raises `StorageFailed`."""
        while True:
            with trio.move_on_at(self._next()):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._hear_of_app, nursery.cancel_scope)
                    await self._wanted.wait()
                    nursery.cancel_scope.cancel()
            self._wanted = trio.Event()
            if self._is_due() and self._resting() is None:
                await self._refresh()
            self._tell()

    async def _refreshed(self) -> None:
        """Make `run` refresh, and return after its attempt. Raises `TokenError` if no attempt is made for now."""
        if self._grant.gone is not None:
            raise _gone(self._grant.gone)
        if (resting := self._resting()) is not None:
            raise resting
        changed = self._changed
        self._wanted.set()
        await changed.wait()

    def _token(self) -> Token | None:
        grant = self._grant
        now = self._world.now()
        usable = now < grant.expires if self._is_lone() and grant.expires is not None else grant.usable_at(now)
        if grant.access_token is None or not usable:
            return None
        if grant.access_token == self._spent and self._resting() is not None:
            return None
        return Token(grant.user, grant.access_token, grant.expires)

    def _is_due(self) -> bool:
        grant = self._grant
        if grant.gone is not None:
            return False
        unfinished = grant.asked is not None or self._error is not None
        return self._forced or self._is_late() or grant.access_token is None or unfinished

    def _is_late(self) -> bool:
        at = self._refresh_at()
        return at is not None and self._world.now() >= at

    def _refresh_at(self) -> float | None:
        """When the access token is due; None: once it is refused."""
        return self._grant.expires if self._is_lone() else self._grant.refresh_at()

    def _is_lone(self) -> bool:
        """Whether no other token can follow the access token, so that it serves to its last second."""
        app = self._app.app
        return self._grant.refresh_token is None and (app is None or app.signs_in)

    def _next(self) -> float:
        """When to check again, by Trio's clock."""
        if self._grant.gone is not None or self._vanished or not self._app.usable:
            return math.inf
        now = trio.current_time()
        if self._is_due():
            return max(now, self._rest_ends(), now + self._app.wait())
        at = self._refresh_at()
        return now + min(LOOK_AGAIN, math.inf if at is None else max(0.0, at - self._world.now()))

    def _resting(self) -> TokenError | None:
        """Why no refresh is attempted for now; None if one may be."""
        if self._vanished or not self._app.usable:
            return _without_app(self._app)
        if self._app.wait() > 0 and self._app.broken is not None:
            return self._app.broken.again()
        if trio.current_time() < self._rest_ends() and self._error is not None:
            return self._error.again()
        return None

    def _rest_ends(self) -> float:
        """Until when the last error forbids attempts. Any error ends when the app is changed, which may repair it."""
        if self._error is not None and self._app_changes != self._app.changes:
            return -math.inf
        about_app = self._error is not None and self._error.trouble is not Trouble.PASSING
        return -math.inf if about_app and self._edition != self._app.edition else self._rests_until

    async def _hear_of_app(self, scope: trio.CancelScope) -> None:
        await self._app.moved.wait()
        scope.cancel()

    async def _refresh(self) -> None:
        app, edition, version = self._app.app, self._app.edition, self._grant.version
        changes = self._app.changes
        assert app is not None
        self._app.asks()
        try:
            renewed = await finished(lambda: self._renew(app), within=REFRESH_SECONDS, once_cancelled=FINISH_SECONDS)
        except (TokenError, trio.TooSlowError) as error:
            if self._grant.version != version:
                return  # the error is about an older grant than that of a new sign-in
            if isinstance(error, trio.TooSlowError):
                text = f"No answer within {REFRESH_SECONDS:g} s"
                error = TokenError(Trouble.PASSING, text, answer_lost=True)
            self._app_changes = changes
            await self._failed(app, edition, error)
        else:
            if renewed:
                self._forget_trouble()
                self._lost = False
                self.refreshes += 1
                await self._app.worked(self._grant.account)

    async def _renew(self, app: App) -> bool:
        """Refresh and store the answer; False if the grant has been replaced since. Raises `TokenError`."""
        grant = self._grant
        if not app.signs_in:
            tokens = await self._requests.for_itself(app, grant.user)
        elif grant.refresh_token is None:
            end = "has expired" if self._is_late() else "was refused"
            raise TokenError(
                Trouble.GRANT_GONE,
                f"The access token {end} and there is no refresh token",
                error="invalid_grant",
                hint="Have the owner of the mailbox sign in, or give a refresh token with the registration.",
            )
        else:
            now = self._world.now()
            if not await self._change(grant.version, lambda it: msgspec.structs.replace(it, asked=now)):
                return False
            tokens = await self._requests.refresh(app, grant.refresh_token)
        now = self._world.now()
        if await self._change(grant.version, lambda it: it.renewed(tokens, now)):
            return True
        return grant.refresh_token is not None and await self._take_over(grant.refresh_token, tokens, now)

    async def _take_over(self, used: str, tokens: Tokens, now: float) -> bool:
        """Store what came for a refresh token that a newer grant still has; False if it has another one.

        This is the case if only another access token is given meanwhile: the refresh token may be used up.
        """

        def change(tx: Tx) -> Grant | None:
            row = rows.get(tx, self._grant.account)
            newer = None if row is None else grants.opened(row, self._vault)
            if newer is None or newer.refresh_token != used:
                return None
            after = newer.renewed(tokens, now)
            rows.put(tx, grants.sealed(after, self._vault))
            return after

        async with self._changing:
            after = await self._store.commit(change)
            if after is not None:
                self._grant, self._vanished = after, False
            return after is not None

    async def _change(self, version: int, make: Callable[[Grant], Grant], ended: TokenError | None = None) -> bool:
        """Store the result of `make` for the grant; False if the grant was replaced or the account removed.

        Changes run one after another: a login that has just succeeded must not undo a refresh.
        """
        async with self._changing:
            before = self._grant
            after = make(before)
            if before.version != version or after is before:
                return before.version == version
            row = grants.sealed(after, self._vault)

            def change(tx: Tx) -> bool:
                if not rows.put(tx, row):
                    return False
                if ended is not None:
                    self._herald.gone(tx, ended)
                tx.after_commit(lambda: self._become(after))
                return True

            found = await self._store.commit(change)
            self._vanished = not found and self._grant.version == version
            return found

    def _become(self, grant: Grant) -> None:
        if grant.version == self._grant.version:
            self._grant = grant

    async def _failed(self, app: App, edition: int, error: TokenError) -> None:
        """Handle a failure by its class; `edition` is that of the app at the time of the request."""
        grant = self._grant
        if error.trouble is Trouble.GRANT_GONE and app.signs_in:
            if app.of.refresh_tokens == "added" and grant.previous_token is not None:
                # The latest refresh token has never worked, and this provider still accepts the previous one.
                older = grant.previous_token
                await self._change(
                    grant.version, lambda it: msgspec.structs.replace(it, refresh_token=older, previous_token=None)
                )
                self._wanted.set()
                return
            if self._lost:
                error = error.again(hint=_LOST)
            shown = error.shown()
            await self._change(
                grant.version, lambda it: msgspec.structs.replace(it, gone=shown, access_token=None, asked=None), error
            )
            self._forced = False
            return
        wait = wait_after(self._failures, error.retry_after, self._world.random)
        self._failures += 1
        self._rests_until = trio.current_time() + wait
        self._error, self._edition = error, edition
        self._forced = False
        self._lost = self._lost or error.answer_lost
        if not self._lost and grant.asked is not None:
            # Otherwise the next start would take the answer for lost.
            await self._change(grant.version, lambda it: msgspec.structs.replace(it, asked=None))
        if error.trouble is Trouble.APP_BROKEN and edition == self._app.edition:
            await self._app.failed(grant.account, error)

    def _forget_trouble(self) -> None:
        self._failures, self._rests_until, self._error, self._forced = 0, -math.inf, None, False

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _gone(shown: dict[str, object]) -> TokenError:
    request = shown.get("tokenRequest")
    return TokenError(
        Trouble.GRANT_GONE,
        str(shown.get("response", "")),
        error=str(shown.get("serverResponseCode", "invalid_grant")),
        hint=str(shown["hint"]) if "hint" in shown else None,
        request=request if isinstance(request, dict) else None,
    )


def _without_app(state: AppState) -> TokenError:
    if state.app is not None and state.usable:
        return TokenError(Trouble.PASSING, "The account no longer has an OAuth2 grant", error="ENOGRANT")
    if state.unreadable is not None:
        text, hint = f"The OAuth2 app {state.id} cannot be used", "Set the app's secrets again."
    elif state.app is None:
        text = f"There is no OAuth2 app {state.id}"
        hint = "Have the owner of the mailbox sign in through another app: POST /v1/authentication/form makes a link."
    else:
        text, hint = f"The OAuth2 app {state.id} is not enabled", f"Enable it: PUT /v1/oauth2/{state.id}."
    return TokenError(Trouble.APP_BROKEN, text, error="ENOAPP", hint=hint)
