"""The command connections of one account: leased by requests, apart from the connection that idles.

1. A request leases a session for a limited time (`lease`). It gets an open idle one at once; otherwise one is opened,
   at most two for each account, one at a time, through the login slots of the host. None is opened before the idling
   connection has logged in, so a password is never used twice at once, nor while the server refuses it.
2. Requests are served in order. Only one of the two connections may do long work (a download), so that the other is
   free for short commands; these overtake a long request that has to wait. Long work takes turns (`Turns`): while it
   has no use for the session, as when its client takes nothing, another that waits gets it after `TURN_SECONDS`.
3. A leased session belongs to the request alone, and no command may exceed the lease. If a call is interrupted while
   its answer is arriving, the rest is read for at most `SETTLE_SECONDS`; a session that cannot be repaired is closed.
   The next request sees nothing of the previous one except which mailbox is selected (`ImapSession.enter`).
4. Between leases a session listens to the server, and so notices when it closes. It logs out after a minute. After
   `QUIET_SECONDS` of silence it checks that the server answers before it is leased.
5. Errors are reported to the request concerned. The account's state depends on the idling connection alone: a refused
   login here only delays the next attempt, as does a server that cannot be reached or hangs up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import trio

from engine.accounts.backoff import Backoff
from engine.accounts.folder_requests_under_way import FolderChanges
from engine.accounts.imap_sessions import Sessions
from engine.accounts.not_ready import REFUSALS, Refusal
from engine.accounts.requested_changes_under_way import MessageChanges
from engine.accounts.status import Status
from engine.accounts.unreadable_messages import within
from engine.errors import EngineError, LoginRefused, NetworkError, NetworkKind, Problem, ProtocolError
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.wake import Wake
from engine.model.account_states import AccountState
from engine.oauth.errors import TokenError, Trouble
from engine.store.unfinished_changes import Unfinished

log = logging.getLogger("engine.commands")

MOST = 2
IDLE_SECONDS = 60.0
"""Idle time after which a connection is closed."""
QUIET_SECONDS = 15.0
"""Silence of the server after which it is asked for a sign of life."""
ANSWER_SECONDS = 5.0
"""How long it may take to answer that."""
TURN_SECONDS = 2.0
"""How long long work may go on while other long work waits."""
REGAIN_SECONDS = 60.0
"""Least time for which long work that has begun waits for its next turn."""
LOOK_SECONDS = 0.5
"""How often other long work looks whether the turn is over."""
SETTLE_SECONDS = 3.0
"""How long to read the rest of an answer whose request has gone."""

SILENT = "The mail server did not answer in time"
FAILURES = (NetworkError, ProtocolError, LoginRefused, CommandRefused, TokenError)
_MAY_OPEN = frozenset({AccountState.SYNCING, AccountState.CONNECTED})
_MAY_WAIT = frozenset({*_MAY_OPEN, AccountState.CONNECTING})


class NoSession(Problem):
    """No session could be leased, or it ended during the lease: 503, or 504 if the time was up.

    The API's answer has EmailEngine's codes: `Timeout`, `IMAPUnavailable`, and those of the states.
    """


class _Service(NamedTuple):
    """The parameters of `run`."""

    nursery: trio.Nursery
    sessions: Sessions
    backoff: Backoff


class _Request:
    """A request that waits for a session; it has been served or refused once `done` is set."""

    def __init__(self, *, long: bool, path: str | None) -> None:
        self.long = long
        self.path = path
        self.promised = False
        """Whether an idle connection has been woken for it."""
        self.done = trio.Event()
        self.connection: _Connection | None = None
        self.since = 0.0
        """When it got the session, by Trio's clock."""
        self.offered = False
        """Whether other long work may take the session."""
        self.refusal: Refusal | None = None


class _Connection:
    """One connection, from the start of its opening until it is closed."""

    def __init__(self) -> None:
        self.session: ImapSession | None = None
        """None while it is being opened."""
        self.resting = False
        self.wake = Wake()
        """Ends its idle time."""
        self.promised: _Request | None = None
        self.lent: _Request | None = None
        self.returned = trio.Event()
        self.settling = False
        """Whether it is reading the rest of an answer whose request has gone."""
        self.error: EngineError | None = None
        """The error that broke it during a lease."""

    @property
    def on_long_work(self) -> bool:
        """Whether a request with long work has it, or is to have it."""
        at_work = None if self.returned.is_set() else self.lent
        return any(each is not None and each.long for each in (at_work, self.promised))

    @property
    def just_returned(self) -> bool:
        """Whether it was returned in order and will look for the next request at once."""
        in_order = self.session is not None and self.session.in_order and not self.settling
        return self.lent is not None and self.returned.is_set() and in_order

    @property
    def selected(self) -> str | None:
        """The path of the selected mailbox."""
        return self.session.selected if self.session is not None else None

    def lend(self, request: _Request) -> None:
        """Lease the session to a request."""
        self.promised, self.lent, self.returned = None, request, trio.Event()
        request.connection, request.since = self, trio.current_time()
        request.done.set()

    def give_back(self, error: EngineError | None = None) -> None:
        """End the lease; `error` is what broke the session during it."""
        self.error = error
        self.returned.set()


class Turns:
    """A lease for long work. Its holder offers the session where the work can be interrupted."""

    def __init__(self, commands: Commands, request: _Request) -> None:
        self._commands = commands
        self._request = request

    @property
    def session(self) -> ImapSession:
        """The session, to be used only until it is `lost`."""
        assert self._request.connection is not None
        assert self._request.connection.session is not None
        return self._request.connection.session

    @property
    def lost(self) -> bool:
        """Whether other long work has taken the session; `regain` leases one again."""
        connection = self._request.connection
        return connection is None or connection.lent is not self._request or connection.returned.is_set()

    @contextmanager
    def offered(self) -> Iterator[None]:
        """During the block other long work that waits may take the session, once this turn is over."""
        self._request.offered = True
        self._commands.end_turn()
        try:
            yield
        finally:
            self._request.offered = False

    async def regain(self, seconds: float) -> None:
        """Lease a session again, which may have any mailbox selected. Raises as `Commands.lease`.

        What has begun waits for at least `REGAIN_SECONDS`.
        """
        request = _Request(long=True, path=self._request.path)
        await self._commands.take(request, trio.current_time() + max(seconds, REGAIN_SECONDS))
        self._request = request

    def end(self, error: EngineError | None = None) -> None:
        """Give the session back unless it is lost; `error` is what broke it."""
        if not self.lost and self._request.connection is not None:
            self._request.connection.give_back(error)


class Commands:
    """The service `run` owns the connections while the registration stays the same."""

    def __init__(self, status: Status, *, offered: bool) -> None:
        """`offered`: whether the account has an IMAP server at all."""
        self.folder_changes = FolderChanges()
        """The folders that requests change."""
        self.message_changes = MessageChanges()
        """The messages that requests change."""
        self._status = status
        self._offered = offered
        self._service: _Service | None = None
        self._waiting: list[_Request] = []
        """In order of arrival."""
        self._connections: list[_Connection] = []
        self._opened = 0
        self._well = False
        """Whether the server has answered a request since the last failure of a connection."""
        self._held_off = False
        """Whether no connection may be opened for now, because one has just failed."""
        self._refusal: Refusal | None = None
        """How requests are refused in the meantime, if the connection could not be opened or served no request."""

    @asynccontextmanager
    async def lease(self, seconds: float, *, long: bool = False, path: str | None = None) -> AsyncIterator[ImapSession]:
        """Lease a logged-in session to the block, for at most `seconds` from now.

        `long`: the work may take longer; only one such lease exists at a time, so that another connection is left for
        the other requests. `path`: the mailbox that the block will `enter`; a connection that has it selected is
        preferred. `session.deadline` (Trio's clock) limits the waits for the server, not the block's other work; long
        work that makes progress may extend it. The session must not be used after the block.

        Raises `NoSession`: at once if the account has no IMAP server, is not connected (its state says why), or was
        just refused by the server; later if that happens while waiting, if the time is up (504), or if the connection
        breaks inside the block. All other exceptions of the block propagate, including `CommandRefused`. Cancelled: the
        session is returned or closed without delay.
        """
        async with self.lease_in_turns(seconds, long=long, path=path) as turns:
            yield turns.session

    @asynccontextmanager
    async def lease_in_turns(
        self, seconds: float, *, long: bool = True, path: str | None = None
    ) -> AsyncIterator[Turns]:
        """`lease` for long work that can be interrupted, so that other long work need not wait until it has ended."""
        request = _Request(long=long, path=path)
        await self.take(request, trio.current_time() + seconds)
        turns, broken = Turns(self, request), None
        try:
            yield turns
        except (NetworkError, ProtocolError) as error:
            if turns.lost or turns.session.usable:
                raise
            broken = error
            raise _broke(error) from error
        finally:
            turns.end(broken)

    async def run(self, sessions: Sessions, backoff: Backoff) -> None:
        """Own the connections until cancelled; then close all of them, and fail the requests that have a lease."""
        self._held_off, self._refusal, self._well = False, None, False
        async with trio.open_nursery() as nursery:
            self._service = _Service(nursery, sessions, backoff)
            try:
                while True:
                    self._match()
                    await self._status.moves()
            finally:
                self._service = None  # before the nursery closes: a request may still come then

    def recall(self, left: Mapping[int, Unfinished | None]) -> None:
        """Take the changes that an engine which has crashed left unfinished."""
        self.folder_changes.recall(left)
        self.message_changes.recall(left)

    def change(self, *, offered: bool) -> None:
        """Set whether the account has an IMAP server now; if not, refuse the waiting requests."""
        self._offered = offered
        self._match()

    def end_turn(self) -> None:
        """Give the session of long work that offers it to other long work that waits, if the turn is over."""
        if not any(each.long and not each.promised for each in self._waiting):
            return
        for each in self._connections:
            lent = None if each.returned.is_set() else each.lent
            if lent is not None and lent.offered and trio.current_time() >= lent.since + TURN_SECONDS:
                each.give_back()

    async def take(self, request: _Request, deadline: float) -> None:
        """Have a request served until `deadline`, by Trio's clock. Raises `NoSession`."""
        self._waiting.append(request)
        try:
            self._match()
            with trio.move_on_at(deadline):
                while not request.done.is_set():
                    with trio.move_on_after(LOOK_SECONDS if request.long else math.inf):
                        await request.done.wait()
                    self.end_turn()
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

    def _match(self) -> None:
        """For each request that can be served, wake an idle connection or open another."""
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
            fresh = next((each for each in resting if each.selected is None), resting[-1])
            chosen = next((each for each in resting if each.selected == request.path), fresh)
            chosen.promised, request.promised = request, True
            chosen.wake.set()

    def _next(self, connection: _Connection) -> _Request | None:
        """The request for a free connection: the one it was woken for, else the first that may have it."""
        if connection.promised in self._waiting:
            return connection.promised
        connection.promised = None
        return next((each for each in self._waiting if not each.promised and self._may_have(each)), None)

    def _may_have(self, request: _Request) -> bool:
        return not (request.long and any(each.on_long_work for each in self._connections))

    def _why_none(self) -> Refusal | None:
        """Why no session is available in the account's current state; None if one is."""
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
            connection.session = session = await service.sessions.open(f"commands {self._opened}", follows=False)
            try:
                await self._keep(connection, session)
            finally:
                session.usable = session.usable and connection.lent is None  # a request may be in mid-command
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
        """Lease the session whenever a request waits; return once it has been idle for a minute.

        Raises what a broken session raises.
        """
        until = trio.current_time() + IDLE_SECONDS
        while True:
            request = self._next(connection)
            if request is None:
                if trio.current_time() >= until:
                    return
                connection.wake, connection.resting = Wake(), True
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
        """Wait until the request returns the session and it is in order. Raises what makes it unusable."""
        self._waiting.remove(request)
        connection.lend(request)
        self._match()
        answered = session.answered
        await connection.returned.wait()
        session.deadline = math.inf
        self._well = self._well or session.usable or session.answered > answered
        if not session.in_order:
            connection.settling = True
            self._match()  # even if the session is lost, its long work is over
            if not await session.settle(SETTLE_SECONDS):
                raise connection.error or NetworkError(
                    NetworkKind.TIMEOUT, "ETIMEDOUT", "The answer to a command that was given up does not end"
                )
        connection.lent, connection.settling = None, False

    async def _hold_off(self, backoff: Backoff, error: EngineError, lasted: float) -> None:
        """Open no connection for a while, longer each time, after one failed that had lasted `lasted` seconds.

        If one has served a request since the last failure, a single message may have caused this one: the wait is short
        and requests wait too. Otherwise they are refused in the meantime, unless there is another connection.
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
