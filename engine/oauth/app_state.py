"""One app while the engine runs: what it is, and whether its provider accepts it.

When the client itself is refused, every account of the app would be told the same: then one account at a time asks
again, after 30 s, doubling to 10 minutes, and the others wait. That is announced once, by `tell`, until the app has
worked again or been changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from engine.oauth.apps import App
from engine.oauth.errors import TokenError

FIRST_WAIT, LONGEST_WAIT = 30.0, 600.0

Tell = Callable[[str, TokenError | None], Awaitable[None]]
"""Puts on record, and announces, what is wrong with the app of this id; None: nothing any more."""


class AppState:
    """`app` is None when there is none of this id (any more). `moved` is set when waiting may be over."""

    def __init__(self, id: str, app: App | None, tell: Tell) -> None:
        self.id = id
        self.app = app
        self.unreadable: str | None = None
        """Why what is stored of the app cannot be used, until it is made anew."""
        self.broken: TokenError | None = None
        """Why the client itself is refused."""
        self.moved = trio.Event()
        self.edition = 0
        """Another one each time the app is changed, or accepted again: what was said of it before is void."""
        self._tell = tell
        self._told: tuple[str | None, str | None] | None = None
        """What was announced last: without the text, in which providers write the time and the request's id."""
        self._complainant = ""
        self._failures = 0
        self._next = 0.0

    @property
    def usable(self) -> bool:
        """Whether there is such an app, it can be read, and it is enabled."""
        return self.app is not None and self.app.enabled and self.unreadable is None

    def remember(self, error: str | None, hint: str | None) -> None:
        """This was announced before the engine was started."""
        self._told = (error, hint)

    def wait(self) -> float:
        """Seconds until an account may ask the provider; 0: now."""
        return 0.0 if self.broken is None else max(0.0, self._next - trio.current_time())

    def asks(self) -> None:
        """An account asks now; while the client is refused, the others wait for what it hears."""
        if self.broken is not None:
            self._next = trio.current_time() + self._pause()

    async def failed(self, account: str, error: TokenError) -> None:
        """The provider has refused the app to an account: what that is about decides who waits."""
        if error.whole_app:
            self.broken = error
            self._next = trio.current_time() + self._pause()
            self._failures = min(self._failures + 1, 10)
        told = (error.error, error.hint)
        if self._told != told:
            self._told, self._complainant = told, account
            await self._tell(self.id, error)

    async def worked(self, account: str) -> None:
        """The provider has given an account a token: the client is good, or what was wrong with it for this account."""
        if self.broken is None and (self._told is None or self._complainant not in ("", account)):
            return
        self._mend()
        await self._tell(self.id, None)

    def change(self, app: App | None) -> None:
        """The app was changed or removed: whatever was wrong may be no more."""
        self.app, self.unreadable = app, None
        self._mend()

    def _pause(self) -> float:
        return min(FIRST_WAIT * 2.0**self._failures, LONGEST_WAIT)

    def _mend(self) -> None:
        self.broken, self._told, self._failures, self._next = None, None, 0, 0.0
        self.edition += 1
        self.moved.set()
        self.moved = trio.Event()
