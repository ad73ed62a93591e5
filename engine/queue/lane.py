"""One account's way out: takes its due messages one after another, through one SMTP session at a time.

Sessions are kept for the next message and given up when idle, used up, or when other accounts wait for one of the
process's session slots: slots are handed out first come, first served, so a full lane cannot starve the others. A
server that hangs or refuses holds up this lane only.

When a server cannot be reached or refuses the login, the message at hand is charged with the try and the whole lane
waits, ever longer, but never longer than that message's own next try; a changed account wakes it at once.

Stopping lets a message whose final dot is on its way finish within the grace time and aborts any other before its dot.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from engine.queue.attempt import Attempts, Try, Withdrawn
from engine.queue.outcome import Judgement
from engine.queue.schedule import Agenda
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpSession, Timeouts
from engine.smtp.verdict import Kind, Stage, Verdict
from engine.world import Dial, World

TURN = 20
"""Messages a lane may send before it gives its slot to a waiting one."""

FIRST_HOLD = 10.0
LONGEST_HOLD = 300.0


class Route(msgspec.Struct, frozen=True):
    """How an account's mail leaves: its SMTP server, how to dial it and the name to greet it with."""

    endpoint: SmtpEndpoint
    dial: Dial
    ehlo_name: str


class LaneLimits(msgspec.Struct, frozen=True):
    """Messages a session may carry, and seconds it may wait for the next one."""

    messages_per_session: int
    session_idle: float
    timeouts: Timeouts


class Lane:
    """The outbox lane of one account. `run` is its service; `change` and `stop` may be called at any time.

    `tell` hears every verdict on a whole try, for the account's `smtpStatus` and login events.
    """

    def __init__(
        self,
        route: Route | None,
        agenda: Agenda,
        attempts: Attempts,
        slots: trio.CapacityLimiter,
        limits: LaneLimits,
        world: World,
        tell: Callable[[Verdict], None],
    ) -> None:
        self._route = route
        self._agenda = agenda
        self._attempts = attempts
        self._slots = slots
        self._limits = limits
        self._world = world
        self._tell = tell
        self._session: SmtpSession | None = None
        self._session_route: Route | None = None
        self._holds = 0
        self._held_until = 0.0
        self._stopping = False
        self._scope: trio.CancelScope | None = None
        self._try: Try | None = None

    def change(self, route: Route | None) -> None:
        """Send by another way from the next message on, and try at once what was held back."""
        self._route = route
        self._holds = 0
        self._held_until = 0.0
        self._agenda.poke()

    def stop(self) -> None:
        """Take no more messages; abort the one at hand unless its final dot may be on its way."""
        self._stopping = True
        self._agenda.poke()
        if self._scope is not None and (self._try is None or self._try.dot_at is None):
            self._scope.cancel()

    async def run(self) -> None:
        """Send what is due until `stop`. Cancelled: as `stop`, without waiting for a reply to a final dot."""
        while not self._stopping:
            message = self._next()
            if message is None:
                await self._rest()
                continue
            async with self._slots:
                await self._turn(message)
                await self._hang_up()

    async def _turn(self, message: int | None) -> None:
        """Send `message` and what is due after it, until nothing is, or the turn is over and others wait."""
        sent = 0
        while message is not None:
            attempt = await self._attempts.begin(message)
            while attempt is not None:
                sent += 1
                attempt = await self._send(attempt, others_turn=sent >= TURN and self._others_wait())
            if sent >= TURN and self._others_wait():
                return
            message = self._next()
            if message is None and await self._linger():
                message = self._next()

    def _others_wait(self) -> bool:
        return self._slots.statistics().tasks_waiting > 0

    def _next(self) -> int | None:
        if self._stopping or self._route is None or trio.current_time() < self._held_until:
            return None
        return self._agenda.take()

    async def _rest(self) -> None:
        held = self._held_until - trio.current_time()
        if self._route is None:
            held = 3600.0
        if held > 0:
            await self._agenda.wait_for_change(held)
        else:
            await self._agenda.wait(3600.0)

    async def _linger(self) -> bool:
        """Keep the session a while for the next message; False when it should be given up."""
        if self._session is None or not self._session.usable:
            return False
        until = trio.current_time() + self._limits.session_idle
        while (left := until - trio.current_time()) > 0 and not self._stopping:
            await self._agenda.wait(min(left, 1.0))
            if self._others_wait():
                return False
            if self._agenda.is_due():
                return True
        return False

    async def _send(self, attempt: Try, *, others_turn: bool) -> Try | None:
        """Deliver one begun try and record it; the try of the next message, begun in the same commit, if one is due."""
        self._try = attempt
        started = self._world.now()
        with trio.CancelScope() as self._scope:
            if self._stopping:
                self._scope.cancel()
            try:
                verdicts, overall = await self._deliver(attempt)
            except Withdrawn:
                return None
            except trio.Cancelled:
                if attempt.dot_at is None:
                    await self._take_back(attempt)
                raise
            finally:
                self._try = None
        if self._scope.cancelled_caught:
            return None
        following = self._next() if overall.kind is Kind.ACCEPTED and not others_turn else None
        judgement, begun = await self._attempts.record(
            attempt, verdicts, overall, self._agenda, self._report(started), following
        )
        self._tell(overall)
        self._hold(overall, judgement)
        return begun

    async def _deliver(self, attempt: Try) -> tuple[dict[str, Verdict], Verdict]:
        try:
            session = await self._connected()
        except DeliveryError as error:
            return dict.fromkeys(attempt.envelope.recipients, error.verdict), error.verdict
        return await self._attempts.hand_over(attempt, session)

    async def _connected(self) -> SmtpSession:
        session = self._session
        if session is not None:
            used_up = session.sent >= self._limits.messages_per_session
            if session.usable and not used_up and self._session_route is self._route:
                return session
            await self._hang_up()
        assert self._route is not None
        route = self._route
        self._session = await SmtpSession.connect(
            route.endpoint,
            dial=route.dial,
            ehlo_name=route.ehlo_name,
            timeouts=self._limits.timeouts,
        )
        self._session_route = route
        return self._session

    async def _hang_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await (session.quit() if session.usable else session.close())

    async def _take_back(self, attempt: Try) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await self._attempts.take_back(attempt, self._agenda)

    def _hold(self, overall: Verdict, judgement: Judgement) -> None:
        unreachable = overall.stage in (Stage.CONNECT, Stage.GREETING, Stage.TLS, Stage.EHLO, Stage.AUTH)
        if overall.kind is Kind.ACCEPTED or not unreachable:
            self._holds = 0
            return
        wait = min(FIRST_HOLD * 2**self._holds, LONGEST_HOLD)
        self._holds = min(self._holds + 1, 16)
        if judgement.next_at is not None:
            wait = min(wait, judgement.next_at - self._world.now())
        self._held_until = trio.current_time() + max(wait, 0.0)

    def _report(self, started: float) -> dict[str, object]:
        session = self._session
        return {
            "started": started,
            "server": f"{self._route.endpoint.host}:{self._route.endpoint.port}" if self._route else None,
            "tls": session.tls_version if session else None,
            "timings": dict(session.timings) if session else {},
        }
