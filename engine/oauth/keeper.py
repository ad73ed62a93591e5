"""The token keeper of one account: an access token whenever one is wanted, and no grant lost on the way.

1. The access token is refreshed some time before it expires, by `run` and by nobody else, so one refresh is under way
   at most. Who wants a token meanwhile waits for it, unless the old one is still good.
2. Before a refresh token is used, it is written down that it will be. Its answer is on disk before anybody gets the new
   access token: a provider that lets the old refresh token live until the new tokens are used loses nothing by our end
   in between. A refresh under way when the engine stops is waited for; one that a kill cut short is asked again at once
   after the start, while such providers still take it.
3. The refresh token before is kept until the new one has worked. It is used again only where a provider's old tokens
   stay valid (`added`): elsewhere that is taken for theft and ends the grant.
4. A refused login forces one refresh and is worth one more login; when that is refused too, the refusal counts
   (`after_refusal`). The same token is not refreshed for the same server again until a login has succeeded.
5. What goes wrong is one of three things. *Grant gone*: written down with its event, and nothing is asked any more
   until somebody signs in. *App broken*: the app says so once, and its accounts wait; one of them asks now and then.
   *Passing*: asked again after 30 s, doubling to 10 minutes, or when the provider says; what is connected stays so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import msgspec
import trio

from engine.oauth import grant as grants
from engine.oauth.app_state import AppState
from engine.oauth.apps import App
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.finish import finished
from engine.oauth.grant import Grant
from engine.oauth.token_requests import TokenRequests
from engine.sasl import Credentials
from engine.store import grants as rows
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World

FIRST_WAIT, LONGEST_WAIT = 30.0, 600.0
LONGEST_RETRY_AFTER = 3600.0
REFRESH_SECONDS = 60.0
"""The longest that a refresh and its commit may take."""
FINISH_SECONDS = 4.0
"""How long a refresh under way may still take when the engine stops."""
LOOK_AGAIN = 300.0
"""Seconds after which the clock is looked at again: it may have been set."""
_LOST = (
    "The answer to an earlier refresh was lost on the way, and the provider had used the refresh token up. "
    "Have the owner of the mailbox sign in again."
)


class Token(msgspec.Struct, frozen=True):
    """An access token to log in with. `user` is who signed in; `expires` in seconds since 1970, None: not known."""

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
    """Who tells the world what became of a grant."""

    def gone(self, tx: Tx, error: TokenError) -> None:
        """Announce inside the commit that ends the grant; must not raise."""


class Keeper:
    """Keeps the tokens of one account. `run` is its service; ask it for nothing before that has begun."""

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
        self._edition = app.edition
        """That of the app which the error is about."""
        self._forced = False
        self._lost = grant.asked is not None
        """An answer was lost on the way, so the refresh token may be used up."""
        self._vanished = False
        """The account has no grant any more."""
        self._changing = trio.Lock()
        """Held while the grant changes: a change is made of what the one before has left on disk."""
        self._forced_for: dict[str, str] = {}
        """By server the access token that a forced refresh brought, until a login there has succeeded."""
        self._wanted = trio.Event()
        self._changed = trio.Event()
        self.refreshes = 0
        """How many refreshes were answered with a token."""

    @property
    def grant(self) -> Grant:
        """The grant as it is on disk."""
        return self._grant

    @property
    def trouble(self) -> TokenError | None:
        """What is wrong at present; None while all is well."""
        gone = self._grant.gone
        return self._error if gone is None else _gone(gone)

    @property
    def ready(self) -> bool:
        """Whether there is a token to log in with, without asking for one."""
        return self._grant.gone is None and self._token() is not None

    @property
    def obstacle(self) -> TokenError | None:
        """Why no other token can be had now, though the one at hand may be good still."""
        return self._resting() if self._grant.gone is None else _gone(self._grant.gone)

    def ask_through(self, requests: TokenRequests) -> None:
        """Ask for tokens by another way from now on."""
        self._requests = requests

    async def moves(self) -> None:
        """Return once something may have changed: somebody has signed in, or a refresh was tried."""
        await self._changed.wait()

    async def recovers(self, error: TokenError) -> None:
        """Return once there is a token, or one may be had, or there is another reason than this one for having none."""
        while True:
            changed = self._changed
            if self.ready:
                return
            why = self.obstacle
            if why is None or why.shown() != error.shown():
                return
            await changed.wait()

    async def token(self) -> Token:
        """A token to log in with. Raises `TokenError` when there is none for now, or none any more.

        Cancelled: nothing is lost.
        """
        while True:
            if self._grant.gone is not None:
                raise _gone(self._grant.gone)
            if (token := self._token()) is not None:
                return token
            await self._refreshed()

    async def after_refusal(self, server: str, refused: str) -> Token | None:
        """The token for one more login at `server` (`imap`, `smtp`), which refused this one; None: the refusal counts.

        Raises `TokenError` where no other token can be had for now: then nothing is known of the login.
        """
        if self._forced_for.get(server) == refused:
            return None
        before = self.refreshes
        while self._grant.access_token == refused and self.refreshes == before:
            self._forced = True
            await self._refreshed()
        token = await self.token()
        self._forced_for[server] = token.access_token
        return token if token.access_token != refused else None

    async def accepted(self, server: str, access_token: str) -> None:
        """A login at `server` with this token has succeeded: the refresh token before is not needed any more."""
        self._forced_for.pop(server, None)
        if self._grant.previous_token is None:
            return

        def worked(grant: Grant) -> Grant:
            is_its = access_token == grant.access_token
            return msgspec.structs.replace(grant, previous_token=None) if is_its else grant

        await self._change(self._grant.version, worked)

    def replace(self, grant: Grant, app: AppState) -> None:
        """Somebody has signed in anew: go on with what that brought, which is on disk already."""
        self._grant, self._app = grant, app
        self._forget_trouble()
        self._lost = self._vanished = False
        self._forced_for.clear()
        self._wanted.set()

    async def run(self) -> None:
        """Refresh until cancelled; a refresh under way then is finished within four seconds. Raises `StorageFailed`."""
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
        """Have `run` refresh, and return when it has tried. Raises `TokenError` where nothing is asked for now."""
        if self._grant.gone is not None:
            raise _gone(self._grant.gone)
        if (resting := self._resting()) is not None:
            raise resting
        changed = self._changed
        self._wanted.set()
        await changed.wait()

    def _token(self) -> Token | None:
        grant = self._grant
        if grant.access_token is None or not grant.usable_at(self._world.now()):
            return None
        return Token(grant.user, grant.access_token, grant.expires)

    def _is_due(self) -> bool:
        grant = self._grant
        if grant.gone is not None:
            return False
        at = grant.refresh_at()
        late = at is not None and self._world.now() >= at
        return self._forced or late or grant.access_token is None or grant.asked is not None

    def _next(self) -> float:
        """When to look again, by Trio's clock."""
        if self._grant.gone is not None or self._vanished or not self._app.usable:
            return math.inf
        now = trio.current_time()
        if self._is_due():
            return max(now, self._rest_ends(), now + self._app.wait())
        at = self._grant.refresh_at()
        return now + min(LOOK_AGAIN, math.inf if at is None else max(0.0, at - self._world.now()))

    def _resting(self) -> TokenError | None:
        """Why nothing is asked for now."""
        if self._vanished or not self._app.usable:
            return _without_app(self._app)
        if self._app.wait() > 0 and self._app.broken is not None:
            return self._app.broken.again()
        if trio.current_time() < self._rest_ends() and self._error is not None:
            return self._error.again()
        return None

    def _rest_ends(self) -> float:
        """Until when nothing is asked because of the last error; what was about the app ends with a change of it."""
        about_app = self._error is not None and self._error.trouble is not Trouble.PASSING
        return -math.inf if about_app and self._edition != self._app.edition else self._rests_until

    async def _hear_of_app(self, scope: trio.CancelScope) -> None:
        await self._app.moved.wait()
        scope.cancel()

    async def _refresh(self) -> None:
        app, edition, version = self._app.app, self._app.edition, self._grant.version
        assert app is not None
        self._app.asks()
        try:
            renewed = await finished(lambda: self._renew(app), within=REFRESH_SECONDS, once_cancelled=FINISH_SECONDS)
        except (TokenError, trio.TooSlowError) as error:
            if self._grant.version != version:
                return  # what somebody signed in for meanwhile has not been asked about
            if isinstance(error, trio.TooSlowError):
                error = TokenError(Trouble.PASSING, f"No answer within {REFRESH_SECONDS:g} s")
            await self._failed(app, edition, error)
        else:
            if renewed:
                self._forget_trouble()
                self._lost = False
                self.refreshes += 1
                await self._app.worked(self._grant.account)

    async def _renew(self, app: App) -> bool:
        """Ask, and have the answer on disk; False when the account's grant is another one now. Raises `TokenError`."""
        grant = self._grant
        if not app.signs_in:
            tokens = await self._requests.for_itself(app, grant.user)
        elif grant.refresh_token is None:
            raise TokenError(
                Trouble.GRANT_GONE,
                "The access token has expired and there is no refresh token",
                error="invalid_grant",
                hint="Have the owner of the mailbox sign in, or give a refresh token with the registration.",
            )
        else:
            now = self._world.now()
            if not await self._change(grant.version, lambda it: msgspec.structs.replace(it, asked=now)):
                return False
            tokens = await self._requests.refresh(app, grant.refresh_token)
        now = self._world.now()
        return await self._change(grant.version, lambda it: it.renewed(tokens, now))

    async def _change(self, version: int, make: Callable[[Grant], Grant], ended: TokenError | None = None) -> bool:
        """Have on disk what `make` makes of the grant; False when it is another one by now, or the account is gone.

        One change after the other: a login that has just worked must not put back what a refresh has replaced.
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
        """Take note of a failure, each kind by its own rule; `edition` is that of the app that asked."""
        grant = self._grant
        if error.trouble is Trouble.GRANT_GONE and app.signs_in:
            if app.of.refresh_tokens == "added" and grant.previous_token is not None:
                # What came last has never worked, and at this provider the one before still does.
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
        wait = min(FIRST_WAIT * 2.0**self._failures, LONGEST_WAIT)
        if error.retry_after is not None:
            wait = max(wait, min(error.retry_after, LONGEST_RETRY_AFTER))
        self._failures = min(self._failures + 1, 10)
        self._rests_until = trio.current_time() + wait
        self._error, self._edition = error, edition
        self._forced = False
        self._lost = self._lost or error.status is None
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
        return TokenError(Trouble.PASSING, "The account has no OAuth2 grant any more", error="ENOGRANT")
    if state.unreadable is not None:
        text, hint = f"The OAuth2 app {state.id} cannot be used", "Set the app's secrets again."
    elif state.app is None:
        text, hint = f"There is no OAuth2 app {state.id}", "Make the app again, or sign in through another one."
    else:
        text, hint = f"The OAuth2 app {state.id} is not enabled", f"Enable it: PUT /v1/oauth2/{state.id}."
    return TokenError(Trouble.APP_BROKEN, text, error="ENOAPP", hint=hint)
