"""The logins of one account at one of its servers, with what the auth server gives out.

1. What was given is kept in memory until it expires. One request at a time is under way; others wait for its answer.
2. A login that is refused has the auth server asked once more, and is worth one more login if it now says something
   else. Until a login has succeeded, the next refusals count at once: nobody is locked out by a wrong password.
3. While the auth server cannot be used it is asked again after 30 s, doubling to 10 minutes, or when it says, for each
   account at its own time. A change of the setting ends the wait.
"""

from __future__ import annotations

import math

import trio

from engine.oauth.auth_server import AuthServer, Given, Protocol
from engine.oauth.errors import TokenError
from engine.oauth.refresh_schedule import wait_after


class AuthServerLogins:
    """Keeps what was given. `asked` counts the requests."""

    def __init__(self, server: AuthServer, account: str, protocol: Protocol) -> None:
        self._server = server
        self._account = account
        self._protocol: Protocol = protocol
        self._edition = server.edition
        self._asking = trio.Lock()
        self._given: Given | None = None
        self._struck = False
        """Whether a login was refused, and none has succeeded since."""
        self._error: TokenError | None = None
        self._failures = 0
        self._rests_until = -math.inf
        self._moved = trio.Event()
        self.asked = 0

    @property
    def ready(self) -> bool:
        """Whether there is something to log in with, without asking."""
        self._take_up_change()
        return self._given is not None and trio.current_time() < self._given.until

    @property
    def obstacle(self) -> TokenError | None:
        """Why the auth server is not asked now; None: it may be."""
        self._take_up_change()
        return self._error.again() if self._error is not None and trio.current_time() < self._rests_until else None

    async def token(self) -> Given:
        """What to log in with. Raises `TokenError` where there is nothing for now. Cancelled: nothing is lost."""
        async with self._asking:
            if self.ready and self._given is not None:
                return self._given
            return await self._ask()

    async def after_refusal(self, server: str, refused: str) -> Given | None:
        """What to log in with once more where this secret was refused; None: the refusal counts.

        Raises `TokenError` where there is nothing for now.
        """
        if self._given is not None and self._given.secret == refused:
            self._given = None
        if self._struck:
            return None
        self._struck = True
        given = await self.token()
        return given if given.secret != refused else None

    async def accepted(self, server: str, used: str) -> None:
        """A login has succeeded."""
        self._struck = False

    async def moves(self) -> None:
        """Return when something has been given."""
        await self._moved.wait()

    async def recovers(self, error: TokenError) -> None:
        """Return once the auth server may be asked again."""
        while self._edition == self._server.edition and (wait := self._rests_until - trio.current_time()) > 0:
            with trio.move_on_after(wait):
                await self._server.moved.wait()

    async def _ask(self) -> Given:
        if (obstacle := self.obstacle) is not None:
            raise obstacle
        self.asked += 1
        try:
            self._given = await self._server.ask(self._account, self._protocol)
        except TokenError as error:
            self._given = None
            wait = wait_after(self._failures, error.retry_after, self._server.world.random)
            self._failures += 1
            self._error, self._rests_until = error, trio.current_time() + wait
            raise
        self._forget_trouble()
        self._moved.set()
        self._moved = trio.Event()
        return self._given

    def _take_up_change(self) -> None:
        if self._edition != self._server.edition:
            self._edition, self._given, self._struck = self._server.edition, None, False
            self._forget_trouble()

    def _forget_trouble(self) -> None:
        self._error, self._failures, self._rests_until = None, 0, -math.inf
