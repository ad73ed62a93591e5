"""One app while the engine runs: its record, and whether its provider accepts it.

If the provider refuses the client itself, every account of the app would be refused. Then only one account at a time
asks again, after 30 s, doubling to at most 10 minutes, and the others wait. `tell` announces this once, until the app
has worked again or has been changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from engine.oauth.apps import App
from engine.oauth.errors import TokenError

FIRST_WAIT, LONGEST_WAIT = 30.0, 600.0

Tell = Callable[[str, TokenError | None], Awaitable[None]]
"""Stores and announces the error of the app with this id; None: it has none any more."""


class AppState:
    """`app` is None if there is no app with this id. `moved` is set when a wait may be over."""

    def __init__(self, id: str, app: App | None, tell: Tell) -> None:
        self.id = id
        self.app = app
        self.unreadable: str | None = None
        """Why the stored app cannot be used, until it is created again."""
        self.broken: TokenError | None = None
        """Why the client itself is refused, if it is."""
        self.moved = trio.Event()
        self.edition = 0
        """Changes each time the app is changed or accepted again, which voids earlier errors."""
        self.changes = 0
        """The number of changes of the app, each of which voids all earlier errors, passing ones too."""
        self._tell = tell
        self._told: tuple[str | None, str | None] | None = None
        """The last announced error, without its text, which may contain a time and a request id."""
        self._complainant = ""
        self._failures = 0
        self._next = 0.0

    @property
    def usable(self) -> bool:
        """Whether the app exists, can be read, and is enabled."""
        return self.app is not None and self.app.enabled and self.unreadable is None

    def remember(self, error: str | None, hint: str | None) -> None:
        """Note the error that was announced before the engine started."""
        self._told = (error, hint)

    def wait(self) -> float:
        """Seconds until an account may ask the provider; 0: now."""
        return 0.0 if self.broken is None else max(0.0, self._next - trio.current_time())

    def asks(self) -> None:
        """Note that an account asks now; while the client is refused, the others wait for its answer."""
        if self.broken is not None:
            self._next = trio.current_time() + self._pause()

    async def failed(self, account: str, error: TokenError) -> None:
        """Note that the provider refused an account; whether all accounts wait depends on what the error is about."""
        if error.whole_app:
            self.broken = error
            self._next = trio.current_time() + self._pause()
            self._failures = min(self._failures + 1, 10)
        told = (error.error, error.hint)
        if self._told != told:
            self._told, self._complainant = told, account
            await self._tell(self.id, error)

    async def worked(self, account: str) -> None:
        """Note that the provider gave an account a token, so its error, or the client's, is over."""
        if self.broken is None and (self._told is None or self._complainant not in ("", account)):
            return
        self._mend()
        await self._tell(self.id, None)

    def change(self, app: App | None) -> None:
        """Apply a change or removal of the app, which clears its errors."""
        self.app, self.unreadable = app, None
        self.changes += 1
        self._mend()

    def _pause(self) -> float:
        return min(FIRST_WAIT * 2.0**self._failures, LONGEST_WAIT)

    def _mend(self) -> None:
        self.broken, self._told, self._failures, self._next = None, None, 0, 0.0
        self.edition += 1
        self.moved.set()
        self.moved = trio.Event()
