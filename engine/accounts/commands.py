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
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from engine.accounts.backoff import Backoff
from engine.accounts.folder_changes import FolderChanges
from engine.accounts.sessions import Sessions
from engine.accounts.state import REFUSALS, AccountState, Refusal
from engine.accounts.status import Status
from engine.accounts.unreadable_messages import within
from engine.errors import EngineError, LoginRefused, NetworkError, NetworkKind, Problem, ProtocolError
from engine.imap.session import CommandRefused, ImapSession
from engine.oauth.errors import TokenError, Trouble

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

SILENT = "The mail server did not answer in time"
FAILURES = (NetworkError, ProtocolError, LoginRefused, CommandRefused, TokenError)
_MAY_OPEN = frozenset({AccountState.SYNCING, AccountState.CONNECTED})
_MAY_WAIT = frozenset({*_MAY_OPEN, AccountState.CONNECTING, AccountState.DISCONNECTED})


class NoSession(Problem):
    """There is no session for a command, or it ended while the request had it: 503, or 504 once the time was up.

    As an answer of the API it carries EmailEngine's codes: `Timeout`, `IMAPUnavailable`, and those of the states.
    """


class _Service(NamedTuple):
    """What `run` works with."""

    nursery: trio.Nursery
    sessions: Sessions
    backoff: Backoff


class _Request:
    """One that waits for a session; served or refused once `done` is set."""

    def __init__(self, *, long: bool, path: str | None) -> None:
        self.long = long
        self.path = path
        self.promised = False
        """Whether a connection at rest was woken for it."""
        self.done = trio.Event()
        self.connection: _Connection | None = None
        self.refusal: Refusal | None = None


class _Connection:
    """One connection, from the moment it begins to be opened until it is closed."""

    def __init__(self) -> None:
        self.session: ImapSession | None = None
        """None while it is being opened."""
        self.resting = False
        self.wake = trio.Event()
        """Ends its rest."""
        self.promised: _Request | None = None
        self.lent: _Request | None = None
        self.returned = trio.Event()
        self.settling = False
        """Whether the rest of an answer is read that nobody waits for any more."""
        self.error: EngineError | None = None
        """What broke it while it was lent."""

    @property
    def on_long_work(self) -> bool:
        """Whether it is lent, or promised, to a request whose work is long."""
        at_work = None if self.returned.is_set() else self.lent
        return any(each is not None and each.long for each in (at_work, self.promised))

    @property
    def just_returned(self) -> bool:
        """Whether it was given back in order and will look for the next request at once."""
        in_order = self.session is not None and self.session.usable and not self.settling
        return self.lent is not None and self.returned.is_set() and in_order

    @property
    def selected(self) -> str | None:
        """The path of the mailbox that is selected."""
        return self.session.selected if self.session is not None else None

    def lend(self, request: _Request) -> None:
        """Hand the session over to a request."""
        self.promised, self.lent, self.returned = None, request, trio.Event()
        request.connection = self
        request.done.set()

    def give_back(self, error: EngineError | None = None) -> None:
        """The request is done with it; `error` is what broke the session under it."""
        self.error = error
        self.returned.set()


class Commands:
    """`run` is the service that owns the connections, for as long as a registration stays the same."""

    def __init__(self, status: Status, *, offered: bool) -> None:
        """`offered`: whether the account has a mailbox at all."""
        self.folder_changes = FolderChanges()
        """The folders that requests change."""
        self._status = status
        self._offered = offered
        self._service: _Service | None = None
        self._waiting: list[_Request] = []
        """In the order in which they asked."""
        self._connections: list[_Connection] = []
        self._opened = 0
        self._well = False
        """Whether the server has answered a request since a connection failed last."""
        self._held_off = False
        """Whether none is opened for now, since one has just failed."""
        self._refusal: Refusal | None = None
        """What requests are told meanwhile, where it could not be opened, or was of no use to anybody."""

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
        connection = await self._take(_Request(long=long, path=path), trio.current_time() + seconds)
        session, broken = connection.session, None
        assert session is not None
        try:
            yield session
        except (NetworkError, ProtocolError) as error:
            if session.usable:
                raise
            broken = error
            raise _broke(error) from error
        finally:
            connection.give_back(broken)

    async def run(self, sessions: Sessions, backoff: Backoff) -> None:
        """Keep the connections until cancelled; then all are closed, also those leased: their requests fail."""
        self._held_off, self._refusal, self._well = False, None, False
        try:
            async with trio.open_nursery() as nursery:
                self._service = _Service(nursery, sessions, backoff)
                while True:
                    self._match()
                    await self._status.moves()
        finally:
            self._service = None

    def change(self, *, offered: bool) -> None:
        """Whether the account has a mailbox now. Where it has none, who waits is refused."""
        self._offered = offered
        self._match()

    async def _take(self, request: _Request, deadline: float) -> _Connection:
        self._waiting.append(request)
        try:
            self._match()
            with trio.move_on_at(deadline):
                await request.done.wait()
        except BaseException:
            if request.connection is not None:
                request.connection.give_back()
            raise
        finally:
            if request in self._waiting:
                self._waiting.remove(request)
        connection, state = request.connection, self._status.state
        if connection is not None and trio.current_time() >= deadline:
            connection.give_back()
            raise _too_late(state)
        if connection is None:
            raise _too_late(state) if request.refusal is None else _refused(request.refusal, state)
        assert connection.session is not None
        connection.session.deadline = deadline
        return connection

    def _match(self) -> None:
        """Wake a connection for each request that can have one, or have another one opened."""
        if (refusal := self._why_none()) is not None:
            self._refuse_all(refusal)
            return
        returned = sum(each.just_returned for each in self._connections)
        for request in self._waiting:
            if request.promised or not self._may_have(request):
                continue
            resting = [each for each in self._connections if each.resting and each.promised is None]
            if not resting and returned:
                returned -= 1
                continue
            if not resting:
                self._open_another()
                return
            chosen = next((each for each in resting if each.selected == request.path), resting[-1])
            chosen.promised, request.promised = request, True
            chosen.wake.set()

    def _next(self, connection: _Connection) -> _Request | None:
        """The request a free connection is for: the one it was woken for, or the first that can have it."""
        if connection.promised in self._waiting:
            return connection.promised
        connection.promised = None
        return next((each for each in self._waiting if not each.promised and self._may_have(each)), None)

    def _may_have(self, request: _Request) -> bool:
        return not (request.long and any(each.on_long_work for each in self._connections))

    def _why_none(self) -> Refusal | None:
        """Why nobody can have a session, as the account stands."""
        if not self._offered:
            return REFUSALS[AccountState.UNSET]
        return None if self._status.state in _MAY_WAIT else REFUSALS[self._status.state]

    def _refuse_all(self, refusal: Refusal) -> None:
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            request.refusal = refusal
            request.done.set()

    def _open_another(self) -> None:
        opening = any(each.session is None for each in self._connections)
        if self._held_off:
            if self._refusal is not None and not self._connections:
                self._refuse_all(self._refusal)
        elif (
            self._service is not None
            and not opening
            and len(self._connections) < MOST
            and self._status.state in _MAY_OPEN
        ):
            connection = _Connection()
            self._connections.append(connection)
            self._service.nursery.start_soon(self._serve, self._service, connection)

    async def _serve(self, service: _Service, connection: _Connection) -> None:
        """One connection, from its opening to its end."""
        began = trio.current_time()
        ended: EngineError | None = None
        try:
            self._opened += 1
            connection.session = session = await service.sessions.open(f"commands {self._opened}")
            try:
                await self._keep(connection, session)
            finally:
                session.usable = session.usable and connection.lent is None  # else a request may be in the middle of it
                await service.sessions.leave(session)
        except FAILURES as error:
            ended = error
        finally:
            self._connections.remove(connection)
            if connection.promised is not None:
                connection.promised.promised = False
        if ended is not None:
            await self._hold_off(service.backoff, ended, trio.current_time() - began)
        self._match()

    async def _keep(self, connection: _Connection, session: ImapSession) -> None:
        """Lend the session and let it rest, in turn; return once it has rested for a minute.

        Raises what a broken session raises.
        """
        until = trio.current_time() + IDLE_SECONDS
        while True:
            request = self._next(connection)
            if request is None:
                if trio.current_time() >= until:
                    return
                connection.wake, connection.resting = trio.Event(), True
                try:
                    await session.rest(connection.wake, until)
                finally:
                    connection.resting = False
            elif session.silence > QUIET_SECONDS:
                with within(ANSWER_SECONDS):
                    await session.noop()
            else:
                await self._lend(connection, session, request)
                until = trio.current_time() + IDLE_SECONDS

    async def _lend(self, connection: _Connection, session: ImapSession, request: _Request) -> None:
        """Return once the request has given the session back and it is in order. Raises why it cannot be used again."""
        self._waiting.remove(request)
        connection.lend(request)
        self._match()
        answered = session.answered
        await connection.returned.wait()
        session.deadline = math.inf
        self._well = self._well or session.usable or session.answered > answered
        if not session.usable:
            connection.settling = True
            self._match()  # it may be lost, and long work is over in any case
            if not await session.settle(SETTLE_SECONDS):
                raise connection.error or NetworkError(
                    NetworkKind.TIMEOUT, "ETIMEDOUT", "The answer to a command that was given up does not end"
                )
        connection.lent, connection.settling = None, False

    async def _hold_off(self, backoff: Backoff, error: EngineError, lasted: float) -> None:
        """Open none for a while, longer each time, since a connection failed after so many seconds.

        Where one was of use since the last failure, so that a single message may be what it failed over, the wait is
        short and requests stand it out; else they are refused meanwhile, unless another connection is there.
        """
        if self._held_off:
            return
        log.debug("a command connection failed, and none is opened for a while: %s", error)
        self._held_off, well, self._well = True, self._well, False
        if not well:
            refused = isinstance(error, LoginRefused) and not error.temporary
            refused = refused or (isinstance(error, TokenError) and error.trouble is Trouble.GRANT_GONE)
            self._refusal = REFUSALS[AccountState.AUTHENTICATION_ERROR if refused else AccountState.CONNECT_ERROR]
        self._match()
        try:
            await backoff.wait(error, lasted, anew=well)
        finally:
            self._held_off, self._refusal = False, None


def _refused(refusal: Refusal, state: AccountState) -> NoSession:
    headers = {"Retry-After": str(refusal.retry_after)}
    return NoSession(503, refusal.message, headers=headers, code=refusal.code, state=state)


def _too_late(state: AccountState) -> NoSession:
    why = {} if state in _MAY_OPEN else {"state": str(state)}
    return NoSession(504, SILENT, headers={}, code="Timeout", **why)


def _broke(error: NetworkError | ProtocolError) -> NoSession:
    if isinstance(error, NetworkError) and error.kind is NetworkKind.TIMEOUT:
        return NoSession(504, SILENT, code="Timeout")
    return NoSession(503, f"The connection to the mailbox broke: {error}", code="IMAPUnavailable")
