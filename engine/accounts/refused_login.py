"""How long an account's IMAP server has refused the login, and when no further attempt is made unprompted.

A server that locks accounts after too many logins would otherwise do so for ever. A change of the account, a request
or a start of the engine tries again.
"""

from __future__ import annotations

import trio

from engine.world import World


class RefusedLogin:
    """Of one account. `since`: when the refusals with the same reply began (seconds since 1970); None: there are none.

    It is given up after `give_up_after` seconds; 0: never.
    """

    def __init__(self, since: float | None, give_up_after: float, world: World) -> None:
        self.since = since
        self._give_up_after = give_up_after
        # A wall clock that jumps ahead while the engine runs must not make the login count as given up.
        self._clock = world.now() - trio.current_time()

    def over(self) -> None:
        """The login is no longer refused, or another one will be tried."""
        self.since = None

    def again(self, *, same: bool) -> None:
        """It is refused; `same`: with the same reply as the last time."""
        if self.since is None or not same:
            self.since = self._now()

    @property
    def given_up(self) -> bool:
        """Whether the server has refused the login for so long that no further attempt is made unprompted."""
        limit = self._give_up_after
        return bool(limit) and self.since is not None and self._now() - self.since >= limit

    def _now(self) -> float:
        return self._clock + trio.current_time()
