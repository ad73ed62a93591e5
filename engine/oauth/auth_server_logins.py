"""The logins of one account at one of its servers, as the auth server gives them.

1. An answer is kept in memory until it expires. Only one request at a time is under way; others wait for its answer.
2. After a refused login, the auth server is asked once more; if its answer is different, one more login follows. Until
   a login has succeeded, further refusals count at once, so that a wrong password locks no one out.
3. While the auth server is unusable, it is asked again after 30 s, doubling to 10 minutes, or when it says, for each
   account separately. A change of the setting ends the wait.
"""

from __future__ import annotations

import math

import trio

from engine.oauth.auth_server import AuthServer, Given, Protocol
from engine.oauth.errors import TokenError
from engine.oauth.refresh_schedule import wait_after


class AuthServerLogins:
    """Keeps the answers. `asked` counts the requests."""

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
        """Whether a login is available without a request."""
        self._take_up_change()
        return self._given is not None and trio.current_time() < self._given.until

    @property
    def obstacle(self) -> TokenError | None:
        """Why the auth server is not asked now; None: it may be."""
        self._take_up_change()
        return self._error.again() if self._error is not None and trio.current_time() < self._rests_until else None

    async def token(self) -> Given:
        """A login. Raises `TokenError` if there is none for now. Cancelled: nothing is lost."""
        async with self._asking:
            if self.ready and self._given is not None:
                return self._given
            return await self._ask()

    async def after_refusal(self, server: str, refused: str) -> Given | None:
        """Another login after this secret was refused; None: the refusal counts.

        Raises `TokenError` if there is none for now.
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
        """Return when there is a new answer."""
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
