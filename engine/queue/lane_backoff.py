"""Why a lane sends nothing for a while, and for how long. Pure.

A refused login keeps the lane waiting by the retry schedule, up to an hour, however many messages wait: a provider
locks an account out that logs in wrongly again and again. A server that cannot be reached is tried again sooner, and a
silent one soonest: a dial into a dead path costs nobody anything, and mail has to go within a minute of the path's
return. Where there is no access token to log in with, the lane waits until it is told of one. Whatever gets through, a
changed account included, ends the wait.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Stage, Verdict, silent, unanswered

FIRST_WAIT = 10.0
LONGEST_WAIT = 300.0
LONGEST_SILENCE = 40.0
"""Longest wait where nothing answers: with the 16 s that a dial under way may take to notice, less than a minute."""
SPREAD = 0.25
"""Up to this part of a wait for a silent server is left out, so that lanes do not dial it all at once."""
LONGEST_LOGIN_WAIT = 3600.0
TOKEN_WAIT = 600.0
"""Longest wait for an access token; that there is one again is told sooner."""


class BackoffReason(StrEnum):
    """What a waiting message waits for."""

    LOGIN = "login"
    CONNECTION = "connection"
    TOKEN = "token"


class LaneBackoff:
    """The wait of one lane. `now` is a clock that only runs (`World.elapsed`), `wall` seconds since 1970.


    `login_wait` gives the seconds after the n-th refused login, `chance` a random number from 0 to 1.
    """

    def __init__(self, login_wait: Callable[[int], float], chance: Callable[[], float]) -> None:
        self._login_wait = login_wait
        self._chance = chance
        self._count = 0
        self.reason: BackoffReason | None = None
        self.since = 0.0
        self.until = 0.0
        """By the clock of `now`."""
        self.verdict: Verdict | None = None
        """What the server, or its absence, said last."""

    def seconds(self, now: float) -> float:
        """How long the lane is still to wait; 0 when it need not."""
        return max(0.0, self.until - now)

    def tried(self, verdict: Verdict, now: float, wall: float, next_attempt: float | None) -> bool:
        """Take note of how an attempt ended; True when the lane is to wait.

        `next_attempt`: seconds until the message at hand is due again, for which the lane need not wait longer.
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
        """The host answers again: whether that ends the wait, which it does where no word was heard of it before."""
        if self.verdict is None or not unanswered(self.verdict):
            return False
        self.end()
        return True

    def end(self) -> None:
        """End the wait."""
        self._count = 0
        self.reason = None
        self.verdict = None
        self.until = 0.0
