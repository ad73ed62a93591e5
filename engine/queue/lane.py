"""A lane sends the due messages of one account, or of one gateway, one after another through one SMTP session.

1. `run` rests until a message is due and nothing keeps the lane from sending: it has a server, the queue is not paused,
   the lane is not backing off, and its rate limit allows it (`_may_send`, `_rest`).
2. It takes one of the process's session slots. They go to lanes first come, first served, so that a lane with a long
   queue cannot starve the others; a turn ends after `TURN` messages if others wait (`_turn`).
3. `Attempts.begin` records the attempt in the journal. `_deliver` reuses the open session or connects, then hands the
   message over. A session that the server closed while idle is replaced and says nothing about the message. So is a
   connection that loses step, on at most `LOST_STEPS` connections in one attempt.
4. The verdict decides (`_deliver_and_record`). *The server refuses the login*: the lane backs off, and the message is
   not charged with an attempt. *There is no access token to log in with*: the same, but no event reports the message,
   and the lane continues once there is one (`has_token`); while that is known, no attempt is begun (`_lacks_token`).
   *The server cannot be reached*: the lane backs off, only a message's first such attempt is charged, and every message
   stays due, so the oldest goes first once the host answers; any successful dial of that host reports this
   (`silent_hosts.py`). *Anything else* is recorded; if the message was accepted, the same commit begins the next
   message's attempt.
5. While the lane backs off (`lane_backoff.py`), messages that have waited as long as their attempts would have taken
   fail. `change`, called when the account changes, ends the wait at once.
6. Between messages the session stays open for a while (`_linger`), unless it is used up or others wait for its slot.
   `rate_limit.py` sets the pace, `quota.py` how much an account may send at all. A message that the quota has no room
   for goes back to its place, and a provider's word that the quota is used up charges no attempt (`_used_up`).
7. `stop` lets a message whose final dot may be under way finish within the grace time. It aborts any other before its
   dot and does not charge the attempt.

A server that hangs or refuses delays only this lane. A message with its own proxy or local address gets its own
session: a failure there delays no other message, and the message is sent even while the account's own route is dead.
In the lane of a gateway, the messages of an account with a proxy or an address of its own go that way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from engine.errors import StorageFailed
from engine.model.message import LaneId, Message
from engine.model.waiting import Waiting
from engine.queue import lane_waiting, quota_verdicts
from engine.queue.attempt import CurrentAttempt, Withdrawn
from engine.queue.dispatch import Dispatch
from engine.queue.lane_backoff import BackoffReason, LaneBackoff
from engine.queue.lane_time import LaneTime
from engine.queue.outcome import Judgement
from engine.queue.outgoing_server import NONCE_BYTES, OutgoingServer, routing_of
from engine.queue.quota import SendingQuota
from engine.queue.rate_limit import SendingRate
from engine.queue.session_slots import SessionSlot
from engine.smtp.session import DeliveryError, SmtpSession
from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Stage, Verdict, unanswered, was_stale
from engine.transcript import Trace
from engine.world import LOOK_AGAIN

log = logging.getLogger("engine.lane")

TURN = 20
"""Messages a lane may send before it gives its slot to a waiting one."""


LOST_STEPS = 3
"""Connections that may lose step in one attempt before the attempt fails."""


class Lane:
    """One lane. `run` is its service; `change` and `stop` may be called at any time.

    `tell` receives the verdict of every attempt and its message (None: it lacks a token for any), for the `smtpStatus`
    and login events of the account, or the state of the gateway.
    """

    def __init__(
        self,
        lane: LaneId,
        server: OutgoingServer | None,
        dispatch: Dispatch,
        tell: Callable[[Verdict, Trace, Message | None], None],
    ) -> None:
        self._id = lane
        self._server = server
        self._agenda = dispatch.schedule.of_lane(lane)
        self._attempts = dispatch.attempts
        self._slots = dispatch.slots
        self._pauses = dispatch.pauses
        self._limits = dispatch.limits
        self._hosts = dispatch.hosts
        self._world = dispatch.world
        self._tell = tell
        self._session: SmtpSession | None = None
        self._session_server: OutgoingServer | None = None
        self._own_way = False
        """Whether the current message goes another way than the lane's others."""
        self._backoff = LaneBackoff(dispatch.attempts.wait_after, dispatch.world.random.random)
        self._pace = SendingRate(server.rate_limit if server is not None else None)
        self._quota: SendingQuota | None = None
        """None for a gateway: limits are those of an account's own server."""
        if not lane.gateway:
            self._quota = dispatch.attempts.quota(lane.account, server.quota if server is not None else None)
        self.time = LaneTime(self._agenda, self._backoff, self._pace, self._quota, self._is_able, dispatch.world)
        self._paced_since = 0.0
        self._used_at = 0.0
        self._stopping = False
        self._scope: trio.CancelScope | None = None

    def change(self, server: OutgoingServer | None) -> None:
        """Send through `server` from the next message on; end any back-off at once."""
        self._server = server
        self._backoff.end()
        self._pace.change(server.rate_limit if server is not None else None)
        if self._quota is not None:
            self._quota.change(server.quota if server is not None else None)
        self._agenda.poke()

    def has_token(self) -> None:
        """An access token is available: what waited for one continues."""
        if self._backoff.reason is BackoffReason.TOKEN:
            self._backoff.end()
            self._agenda.poke()

    def stop(self) -> None:
        """Take no more messages; abort the current one unless its final dot may be on its way."""
        self._stopping = True
        self._agenda.poke()
        if self._scope is not None and not self._dot_in_flight:
            self._scope.cancel()

    def waiting(self) -> Waiting | None:
        """What keeps all messages of this lane from being sent now; None if each only waits until it is due."""
        now, wall = trio.current_time(), self._world.now()
        if (paused := self._pauses.waiting(self._id.account)) is not None:
            return paused
        if self._server is None:
            return Waiting("smtp", wall, None, "The account has no SMTP server: PUT /v1/account/{account} with smtp")
        if (backing_off := lane_waiting.for_backoff(self._id, self._backoff, self._world.elapsed(), wall)) is not None:
            return backing_off
        slow = lane_waiting.for_pace(self._pace, self._paced_since, now, wall)
        if slow is None and self._quota is not None:
            return lane_waiting.for_quota(self._quota, now, wall)
        return slow

    @property
    def left(self) -> int | None:
        """How many messages the rate limit and the quota allow now; None if there is no limit."""
        now = trio.current_time()
        found = (self._pace.left(now), None if self._quota is None else self._quota.left(now))
        return min((each for each in found if each is not None), default=None)

    @property
    def quota(self) -> SendingQuota | None:
        """What the account may send; None for a gateway."""
        return self._quota

    @property
    def knocks(self) -> bool:
        """Whether it is backing off with a due message, and so will contact the server again unprompted."""
        return self._backoff.verdict is not None and self._agenda.is_due()

    async def run(self) -> None:
        """Send what is due until `stop`. Cancelled: like `stop`, but without waiting for the reply to a final dot."""
        if self._pace.limit is not None:
            wall = self._world.now()
            self._pace.remember(
                [
                    trio.current_time() - (wall - began)
                    for began in self._attempts.began_since(self._id.account, wall - self._pace.limit.seconds)
                ]
            )
        if self._quota is not None:
            await self._quota.load()
        await self._hang_up()
        while not self._stopping:
            if not (self._may_send() and self._agenda.is_due()) and self._next_by_own_way() is None:
                await self._rest()
                continue
            async with self._slots.taken() as slot:
                await self._turn(slot)
                await self._hang_up()

    async def _turn(self, slot: SessionSlot) -> None:
        """Send until no message is due, or until the turn is over and others wait."""
        sent = 0
        while not await self._lacks_token():
            if (entry := self._next()) is None:
                if not await self._keep_for_quota():
                    return
                continue
            with self.time.working():
                await slot.begin()
                attempt = await self._attempts.begin(*entry)
                while attempt is not None:
                    sent += 1
                    await slot.begin()
                    attempt = await self._send(attempt, others_turn=sent >= TURN and self._slots.wanted)
            if sent >= TURN and self._slots.wanted:
                return
            if not self._agenda.is_due():
                await self._linger()

    @property
    def _dot_in_flight(self) -> bool:
        """Whether the server may already have the whole of the current message, or be about to."""
        return self._session is not None and self._session.in_flight

    def _may_send(self) -> bool:
        return self._backoff.seconds(self._world.elapsed()) <= 0 and self._is_free()

    def _is_free(self) -> bool:
        """Whether nothing but the server's silence can keep the lane from sending."""
        now = trio.current_time()
        return (self._quota is None or self._quota.ready_at(now) <= now) and self._is_free_but_for_quota(now)

    def _is_free_but_for_quota(self, now: float) -> bool:
        return self._is_able() and self._pace.ready_at(now) <= now

    def _is_able(self) -> bool:
        """Whether only time can keep the lane from sending."""
        return not self._stopping and self._server is not None and not self._pauses.paused(self._id.account)

    @property
    def _is_cut_off(self) -> bool:
        """Whether the account's own route to its server is dead."""
        return self._backoff.reason is BackoffReason.CONNECTION and self._backoff.seconds(self._world.elapsed()) > 0

    def _next(self) -> tuple[int, float] | None:
        if not self._may_send():
            return self._next_by_own_way()
        entry = self._agenda.take()
        if entry is not None and not self._has_room(entry[0]):
            self._agenda.put_back()
            return None
        return entry

    def _next_by_own_way(self) -> tuple[int, float] | None:
        """A due message with its own proxy or local address, while the account's own route is dead; else None."""
        entry = self._attempts.first_with_own_way(self._id) if self._is_cut_off and self._is_free() else None
        return entry if entry is not None and self._has_room(entry[0]) else None

    def _has_room(self, message: int) -> bool:
        """Whether the quota has room for the message, or never will have."""
        quota = self._quota
        if quota is None or not quota.is_limited:
            return True
        return quota.admits(quota.cost(self._attempts.open_recipients(message)), trio.current_time())

    async def _rest(self) -> None:
        server, now = self._server, trio.current_time()
        if server is None or self._pauses.paused(self._id.account):
            await self._agenda.wait_for_change(3600.0)
        elif (wait := self._backoff.seconds(self._world.elapsed())) > 0:
            with self._hosts.listening(server.endpoint.host, server.endpoint.port, self._host_answers, server.via):
                await self._agenda.wait_for_change(min(wait, LOOK_AGAIN))
        elif (ready := self._pace.ready_at(now)) > now:
            await self._agenda.wait_for_change(ready - now)
        elif self._quota is not None and (ready := self._quota.ready_at(now)) > now:
            await self._rest_for_quota(self._quota, ready - now)
        else:
            if self._quota is not None:
                self._quota.drained()
            await self._agenda.wait(3600.0)

    async def _rest_for_quota(self, quota: SendingQuota, seconds: float) -> None:
        if self._agenda.is_due():
            quota.waits(trio.current_time())
            await self._agenda.wait_for_change(min(seconds, quota.patience))
            quota.look_again()
        else:
            quota.drained()
            await self._agenda.wait(seconds)

    async def _keep_for_quota(self) -> bool:
        """Wait with the open session if the quota soon has room for a message that is due; return whether it did."""
        now, quota, session = trio.current_time(), self._quota, self._session
        if quota is None or session is None or not session.usable or self._session_server is not self._server:
            return False
        if not (self._agenda.is_due() and self._is_free_but_for_quota(now)) or self._slots.wanted:
            return False
        if not now < (ready := quota.ready_at(now)) <= now + self._limits.session_idle:
            return False
        quota.waits(now)
        await self._agenda.wait_for_change(ready - now)
        return True

    def _host_answers(self) -> None:
        if self._backoff.answers():
            self._agenda.poke()

    async def _linger(self) -> None:
        """Keep the session a while for the next message, unless others wait for the slot."""
        if self._session is None or not self._session.usable or self._session_server is not self._server:
            return
        until = trio.current_time() + self._limits.session_idle
        while (left := until - trio.current_time()) > 0 and self._may_send() and not self._slots.wanted:
            await self._agenda.wait(min(left, 1.0))
            if self._agenda.is_due():
                return

    async def _send(self, attempt: CurrentAttempt, *, others_turn: bool) -> CurrentAttempt | None:
        """Deliver and record an attempt.

        Returns the next message's attempt if the same commit began one.
        """
        try:
            return await self._deliver_and_record(attempt, others_turn=others_turn)
        except StorageFailed:
            raise
        except Exception as error:
            log.exception("an attempt to send crashed", extra={"queueId": attempt.message.queue_id})
            await self._attempts.crashed(attempt, error, in_flight=self._dot_in_flight)
            return None

    async def _deliver_and_record(self, attempt: CurrentAttempt, *, others_turn: bool) -> CurrentAttempt | None:
        self._pace.began(trio.current_time())
        if self._quota is not None and self._quota.is_limited:
            attempt.quota = self._quota
            self._quota.goes_on()
        with trio.CancelScope() as self._scope:
            if self._stopping:
                self._scope.cancel()
            try:
                verdicts, overall = await self._deliver(attempt)
            except Withdrawn:
                await self._attempts.withdrawn(attempt)
                return None
            except trio.Cancelled:
                if not self._dot_in_flight:
                    await self._take_back(attempt)
                raise
        if self._scope.cancelled_caught:
            return None
        if log.isEnabledFor(logging.DEBUG):
            about = {"account": attempt.message.account, "queueId": attempt.message.queue_id}
            log.debug("attempt %d: %s", attempt.message.attempts_made, overall.text, extra=about)
        if self._quota is not None and (closed := quota_verdicts.closing(overall, verdicts)):
            await self._used_up(self._quota, attempt, verdicts, overall, closed)
            return None
        self._paced_since = self._world.now()
        self._pace.ended(overall, trio.current_time())
        if overall.stage is Stage.TOKEN and not attempt.decided:
            await self._without_token(attempt, overall)
            return None
        if self._tells_of_own_way(overall):
            await self._attempts.record(attempt, verdicts, overall, self._report(attempt), None)
            return None
        if overall.kind is Kind.LOGIN_REFUSED and not attempt.decided:
            await self._refused(attempt, overall)
            return None
        if unanswered(overall) and not attempt.decided:
            await self._unanswered(attempt, overall)
            return None
        following = self._next() if overall.kind is Kind.ACCEPTED and not others_turn else None
        judgement, begun = await self._attempts.record(attempt, verdicts, overall, self._report(attempt), following)
        self._tell(overall, attempt.trace, attempt.message)
        await self._note(overall, judgement)
        return begun

    def _tells_of_own_way(self, overall: Verdict) -> bool:
        """Whether the verdict concerns only the current message's own proxy or local address, not the lane's route."""
        if not self._own_way or overall.kind is Kind.LOGIN_REFUSED:
            return False
        return self._is_cut_off or (overall.stage in BEFORE_ANY_MESSAGE and overall.network is not None)

    async def _deliver(self, attempt: CurrentAttempt) -> tuple[dict[str, Verdict], Verdict]:
        lost_steps, logged_in_again = 0, False
        quota, recipients = attempt.quota, len(attempt.envelope.recipients)
        if quota is not None and (refused := quota_verdicts.never_fits(quota, recipients)) is not None:
            return attempt.verdicts(refused), refused
        while True:
            idle = trio.current_time() - self._used_at
            try:
                session, reused = await self._connected(attempt)
                verdicts, overall = await self._attempts.hand_over(attempt, session)
            except DeliveryError as error:
                self._hosts.note_mute(error.mute)
                lost_steps += 1
                if not error.out_of_step or lost_steps >= LOST_STEPS:
                    return attempt.verdicts(error.verdict), error.verdict
                continue
            self._used_at = trio.current_time()
            if self._needs_login(overall) and not logged_in_again:
                logged_in_again = True
            elif not (reused and was_stale(overall, idle)):
                return verdicts, overall
            # The session had already ended, or its login has, which says nothing about this message.
            await self._hang_up()

    def _needs_login(self, overall: Verdict) -> bool:
        """Whether the token that the session was logged in with is no longer valid."""
        has_tokens = self._session_server is not None and self._session_server.tokens is not None
        return has_tokens and overall.kind is Kind.LOGIN_REFUSED

    async def _used_up(
        self,
        quota: SendingQuota,
        attempt: CurrentAttempt,
        verdicts: dict[str, Verdict],
        overall: Verdict,
        closed: dict[str, float],
    ) -> None:
        """Send nothing for a while: the provider says that the account's quota is used up.

        `closed` are the recipients for whom it said so, with the seconds. That says nothing about the message, which
        is left as it was; if others were accepted or refused, it gets one more attempt.
        """
        address, seconds = max(closed.items(), key=lambda each: each[1])
        said = verdicts[address]
        await quota.close(seconds, said.text)
        if len(closed) == len(verdicts) and not attempt.taken:
            await self._attempts.take_back(attempt, said, seconds)
        else:
            verdicts, overall = quota_verdicts.postponed(verdicts, overall, closed, address)
            await self._attempts.record(attempt, verdicts, overall, self._report(attempt), None, free=True)
        self._tell(said, attempt.trace, attempt.message)

    async def _refused(self, attempt: CurrentAttempt, verdict: Verdict) -> None:
        """Back off after a refused login. It says nothing about the message, which is left as it was."""
        elapsed = self._world.elapsed()
        self._backoff.tried(verdict, elapsed, self._world.now(), None)
        await self._attempts.take_back(attempt, verdict, self._backoff.seconds(elapsed))
        self._tell(verdict, attempt.trace, attempt.message)
        await self._attempts.give_up_overdue(self._id, verdict)

    async def _lacks_token(self) -> bool:
        """Whether the lane must wait for a token, since an attempt could not log in."""
        tokens = self._server.tokens if self._server is not None else None
        logged_in = self._session is not None and self._session.usable
        if tokens is None or logged_in or not (self._may_send() and self._agenda.is_due()):
            return False
        if (verdict := tokens.lacking()) is None:
            return False
        await self._wait_for_token(verdict, Trace(), None)
        return True

    async def _without_token(self, attempt: CurrentAttempt, verdict: Verdict) -> None:
        """Make the lane wait until there is a token to log in with. The current message stays as it was."""
        await self._attempts.take_back(attempt)
        await self._wait_for_token(verdict, attempt.trace, attempt.message)

    async def _wait_for_token(self, verdict: Verdict, trace: Trace, message: Message | None) -> None:
        self._backoff.tried(verdict, self._world.elapsed(), self._world.now(), None)
        self._tell(verdict, trace, message)
        await self._attempts.give_up_overdue(self._id, verdict)

    async def _unanswered(self, attempt: CurrentAttempt, verdict: Verdict) -> None:
        """Back off because the server did not answer. The message keeps its place in the order."""
        elapsed, wall = self._world.elapsed(), self._world.now()
        self._backoff.tried(verdict, elapsed, wall, None)
        await self._attempts.unanswered(attempt, verdict, self._report(attempt), wall + self._backoff.seconds(elapsed))
        self._tell(verdict, attempt.trace, attempt.message)
        await self._attempts.give_up_overdue(self._id, verdict)

    async def _connected(self, attempt: CurrentAttempt) -> tuple[SmtpSession, bool]:
        """A session, and whether it was used before. A message with its own proxy or address gets a new one."""
        session, server = self._session, self._way_of(attempt.message)
        if session is not None:
            used_up = session.sent >= self._limits.messages_per_session
            if session.usable and not used_up and self._session_server is server:
                attempt.routing = routing_of(server.route, session)
                return session, True
            await self._hang_up()
        attempt.routing = routing_of(server.route, None)
        nonce = self._world.token_bytes(NONCE_BYTES).hex()
        self._session = await server.connect(self._limits.timeouts, nonce, attempt.trace)
        self._session_server = server
        attempt.routing = routing_of(server.route, self._session)
        return self._session, False

    def _way_of(self, message: Message) -> OutgoingServer:
        """The lane's server, or another object if the message goes another way."""
        assert self._server is not None
        server = self._server
        if server.by is not None and (message.has_own_way or self._id.gateway):
            server = server.by(message)
        self._own_way = server is not self._server
        return server

    async def _hang_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await (session.quit() if session.usable else session.close())

    async def _take_back(self, attempt: CurrentAttempt) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await self._attempts.take_back(attempt)

    async def _note(self, overall: Verdict, judgement: Judgement) -> None:
        wall = self._world.now()
        next_attempt = judgement.next_at - wall if judgement.next_at is not None else None
        if self._backoff.tried(overall, self._world.elapsed(), wall, next_attempt):
            await self._attempts.give_up_overdue(self._id, overall)

    def _report(self, attempt: CurrentAttempt) -> dict[str, object]:
        session, server = self._session, self._server
        return {
            "server": f"{server.endpoint.host}:{server.endpoint.port}" if server else None,
            "tls": session.tls_version if session else None,
            "timings": dict(session.timings) if session else {},
            **(attempt.routing or {}),
            **({"dsn": session.capabilities.dsn} if session and attempt.message.dsn is not None else {}),
        }
