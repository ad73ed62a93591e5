"""What the log says about one account's servers, so that its reader knows what is wrong and what to do.

There is one line for each fact: connected; not connected, once for each cause and then once an hour; connected again,
and after how long; the same for sending. A lost connection that is replaced at once is logged only if that keeps
happening. Everything else is at level `debug`.
"""

from __future__ import annotations

import logging
import re

from engine.accounts.error_comparison import words
from engine.accounts.remedies import Server
from engine.repeated_errors import RepeatedErrors, counted, spoken, times
from engine.world import World

log = logging.getLogger("engine.account")

MANY_LOSSES = 5
"""From this number of connections lost within `WINDOW` seconds on, a line is logged, at most once in `WINDOW`."""
WINDOW = 3600.0

_CHANGE = re.compile(r"\b(?:correct|set|give|see|allow) (?:\w+ )*(?:imap|smtp)\.", re.IGNORECASE)
"""Matches advice to change the registration."""

IMAP = "imap"
SENDING = "sending"
_CANNOT = {IMAP: "no connection to the IMAP server", SENDING: "cannot send"}
_CAN = {IMAP: "connected to", SENDING: "can send through"}


class ConnectionLog:
    """The log lines of one account. `of` below is `IMAP` or `SENDING`."""

    def __init__(self, account: str, world: World) -> None:
        self._account = account
        self._fields = {"account": account}
        self._world = world
        self._troubles = {IMAP: RepeatedErrors(), SENDING: RepeatedErrors()}
        self._well: set[tuple[str, str]] = set()
        """What was reported to work, and at which server."""
        self._losses: list[float] = []
        self._losses_told: float | None = None

    def well(self, of: str, server: str) -> None:
        """Log that it works, at `server`."""
        over = self._troubles[of].over(self._world.elapsed())
        said = (of, server) in self._well
        self._well.add((of, server))
        if over is not None:
            lasted = f"after {spoken(over.seconds)}, in which {counted(over.failures, 'attempt')} failed"
            log.info("%s %s again %s", _CAN[of], server, lasted, extra=self._fields)
        elif not said:
            log.info("%s %s", _CAN[of], server, extra=self._fields)

    def failed(self, of: str, shown: dict[str, str]) -> None:
        """Log that it does not work; `shown` is the error as in `lastError`."""
        text = shown["response"]
        cause = (shown.get("serverResponseCode"), words(text))
        more = self._troubles[of].failed(cause, self._world.elapsed())
        if more is None:
            log.debug("%s: %s", _CANNOT[of], text, extra=self._fields)
            return
        still = "still " if more else ""
        meaning = " ".join(shown[name] for name in ("description", "hint") if name in shown)
        if _CHANGE.search(meaning):
            meaning += f" Change the account with PUT /v1/account/{self._account}."
        said = "" if text.partition(": set ")[0] in meaning else f"The error: {text}"
        log.warning("%s%s%s: %s", still, _CANNOT[of], more, f"{meaning} {said}".strip(), extra=self._fields)

    def changed(self) -> None:
        """The registration has changed, so log errors and successes again."""
        self._well.clear()
        for of in self._troubles:
            self._troubles[of] = RepeatedErrors()

    def lost(self, server: Server, error: Exception) -> None:
        """Note that a working connection has ended."""
        log.debug("the connection to %s is lost: %s", server, error, extra=self._fields)
        now = self._world.elapsed()
        self._losses = [*(each for each in self._losses if now - each < WINDOW), now]
        if len(self._losses) < MANY_LOSSES or (self._losses_told is not None and now - self._losses_told < WINDOW):
            return
        self._losses_told = now
        log.warning(
            "the connection to %s was lost %s within the last %s and reopened each time. Nothing is missed, but ask "
            "the operator of that server, or of a firewall in between. The last error: %s",
            server,
            times(len(self._losses)),
            spoken(max(now - self._losses[0], 1.0)),
            error,
            extra=self._fields,
        )

    def given_up(self, seconds: float) -> None:
        """Log that the IMAP server is no longer dialled."""
        log.warning(
            "the server has refused the login for %s, so the engine no longer tries it. Correct it with "
            "PUT /v1/account/%s, or retry with PUT /v1/account/%s/reconnect",
            spoken(seconds),
            self._account,
            self._account,
            extra=self._fields,
        )
