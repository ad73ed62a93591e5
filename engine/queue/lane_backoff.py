"""Why a lane sends nothing for a while, and for how long. Pure.

After a refused login the lane waits by the retry schedule, at most an hour, however many messages are due: providers
lock an account after repeated failed logins. It dials an unreachable server sooner, after at most 5 minutes, and a
silent one soonest, after at most 40 seconds: dialling a dead path costs the server nothing, and mail must go within a
minute of the path's return. Without an access token to log in with, it waits until told of one. Any reply past the
login, and any change of the account, ends the wait.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Stage, Verdict, silent, unanswered

FIRST_WAIT = 10.0
LONGEST_WAIT = 300.0
LONGEST_SILENCE = 40.0
"""Longest wait in seconds if nothing answers. A dial may take 16 s to notice, which makes less than a minute."""
SPREAD = 0.25
"""A wait for a silent server is shortened by up to this fraction, so that not all lanes dial it at once."""
LONGEST_LOGIN_WAIT = 3600.0
TOKEN_WAIT = 600.0
"""Longest wait for an access token; a new one ends the wait sooner."""


class BackoffReason(StrEnum):
    """What the lane waits for."""

    LOGIN = "login"
    CONNECTION = "connection"
    TOKEN = "token"


class LaneBackoff:
    """The wait of one lane. `now` is a monotonic clock (`World.elapsed`), `wall` seconds since 1970.

    `login_wait` gives the seconds after the n-th refused login, `chance` a random number from 0 to 1.
    """

    def __init__(self, login_wait: Callable[[int], float], chance: Callable[[], float]) -> None:
        self._login_wait = login_wait
        self._chance = chance
        self._count = 0
        self.reason: BackoffReason | None = None
        self.since = 0.0
        self.until = 0.0
        """When the wait ends, by the same clock as `now`."""
        self.verdict: Verdict | None = None
        """The last attempt's verdict, while the lane waits."""

    def seconds(self, now: float) -> float:
        """How many seconds the lane still has to wait."""
        return max(0.0, self.until - now)

    def tried(self, verdict: Verdict, now: float, wall: float, next_attempt: float | None) -> bool:
        """Note how an attempt ended; return whether the lane must wait.

        `next_attempt`: seconds until the message is due again. Unless a login was refused, the wait is not longer than
        that.
        """
        if verdict.kind is Kind.ACCEPTED or verdict.stage not in BEFORE_ANY_MESSAGE:
            self.end()
            return False
        reason = BackoffReason.LOGIN if verdict.kind is Kind.LOGIN_REFUSED else BackoffReason.CONNECTION
        if verdict.stage is Stage.TOKEN:
            reason = BackoffReason.TOKEN
        if reason is not self.reason:
            self._count, self.since, self.reason = 0, wall, reason
        self._count += 1
        if reason is BackoffReason.LOGIN:
            wait = min(self._login_wait(self._count), LONGEST_LOGIN_WAIT)
        elif reason is BackoffReason.TOKEN:
            wait = TOKEN_WAIT
        else:
            wait = min(FIRST_WAIT * 2 ** min(self._count - 1, 16), LONGEST_WAIT)
            if silent(verdict):
                wait = min(wait, LONGEST_SILENCE) * (1 - SPREAD * self._chance())
            if next_attempt is not None:
                wait = min(wait, next_attempt)
        self.verdict = verdict
        self.until = now + max(wait, 0.0)
        return True

    def answers(self) -> bool:
        """Note that the host answers again; return whether that ended the wait.

        It does only if the server had not answered before.
        """
        if self.verdict is None or not unanswered(self.verdict):
            return False
        self.end()
        return True

    def pass_time(self, seconds: float) -> None:
        """Count so many seconds as waited."""
        self.until -= seconds

    def end(self) -> None:
        """Stop waiting."""
        self._count = 0
        self.reason = None
        self.verdict = None
        self.until = 0.0
