"""The command connections of one account: leased by requests, apart from the connection that idles.

1. A request leases a session for so many seconds (`lease`). One that rests already is handed over at once; else one is
   opened, at most two an account, one after the other, through the gate of the host. None is opened before the
   connection that idles is logged in, so that a password is never tried twice at a time, nor while it is refused.
2. Who asked first is served first. At most one of the two is on long work (a download), so that short commands always
   have the other; what is long and has to wait for that is overtaken.
3. While leased, a session belongs to the request alone, and no command outlasts its time. One that was cut short while
   its answer came reads the rest of it, for a moment; what cannot be brought in order is closed. The next request never
   sees anything of the one before but which mailbox is selected (`ImapSession.enter`).
4. At rest it hears what the server says, and so that it has closed; after a minute it logs out. One that was quiet for
   a while is asked for a sign of life before it is handed over.
5. What goes wrong here is told to the request it befell. The account's state is that of the connection that idles: a
   login refused here only delays the next one, as a server does that cannot be reached, or that hangs up.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.accounts.backoff import Backoff
from engine.accounts.sessions import Sessions
from engine.accounts.state import AccountState
from engine.accounts.status import Status
from engine.errors import LoginRefused, NetworkError, Problem, ProtocolError
from engine.imap.session import CommandRefused, ImapSession

log = logging.getLogger("engine.commands")

MOST = 2
IDLE_SECONDS = 60.0
"""After so long at rest a connection is closed."""
QUIET_SECONDS = 15.0
"""After so long without a word from the server it is asked whether it is still there."""
ANSWER_SECONDS = 5.0
"""How long it may take to answer that."""
SETTLE_SECONDS = 3.0
"""How long the rest of an answer is read that nobody waits for any more."""

FAILURES = (NetworkError, ProtocolError, LoginRefused, CommandRefused)
_MAY_OPEN = frozenset({AccountState.SYNCING, AccountState.CONNECTED})
_MAY_WAIT = frozenset({*_MAY_OPEN, AccountState.CONNECTING, AccountState.DISCONNECTED})


class NoSession(Problem):
    """There is no session for a command, or it ended while the request had it: 503, or 504 once the time was up.

    As an answer of the API it carries EmailEngine's codes: `Timeout`, `IMAPUnavailable`, and those of the states.
    """


class Commands:
    """`run` is the service that owns the connections, for as long as a registration stays the same."""

    def __init__(self, status: Status) -> None:
        self.offered = True
        """Whether the account has a mailbox at all."""
        self._status = status

    @asynccontextmanager
    async def lease(self, seconds: float, *, long: bool = False, path: str | None = None) -> AsyncIterator[ImapSession]:
        """A session that is logged in, for the block alone, at most `seconds` from now.

        `long`: the work may take more than a moment; one such lease is given at a time, and another connection is left
        to the others. `path`: the mailbox that will be selected, by `session.enter`; one that has it selected already
        is preferred. Who makes progress with long work may put the limit off: `session.deadline`, by Trio's clock. It
        bounds the waits for the server, not what else the block does. The session must not be used after the block.

        Raises `NoSession`: at once where the account has no mailbox, or is not connected (its state says why), where
        the server has just not let us in; later where that happens meanwhile, where the time is up (504), and where the
        connection breaks under the block. What the block raises passes, `CommandRefused` among it, but for the error
        of a connection that broke. Cancelled: the session is given back, in order or closed, without delay.
        """
        raise NotImplementedError
        yield

    async def run(self, sessions: Sessions, backoff: Backoff) -> None:
        """Keep the connections until cancelled; then all are closed, also those leased: their requests fail."""
        raise NotImplementedError
