"""One attempt to send one message: begin, hand over, record.

1. `begin` records the attempt before anything is dialled.
2. `hand_over` sends the message. `dot_pending` (the message's `dot_at`) is on disk before the final dot leaves.
3. `record` commits the outcome, its events and the removal of the body at once.

An attempt interrupted before the dot is taken back and does not count. If it is interrupted after the dot, the journal
keeps `dot_at` and the next start finds the message in doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import trio

from engine.errors import EngineError, Fault
from engine.model.limits import Quota
from engine.model.message import LaneId, Message, Recipient
from engine.model.message_states import State, message_state
from engine.queue import doubt, judgements, outcome_events, retry
from engine.queue.late_suppression import suppressed_since
from engine.queue.outcome import Judgement, judge
from engine.queue.quota import SendingQuota
from engine.queue.recorder import Recorder
from engine.smtp.session import DeliveryError, SmtpEnvelope, SmtpSession
from engine.smtp.verdict import Kind, Stage, Verdict, error_code, error_text
from engine.store import attempts, bodies, messages
from engine.store.bodies import MessageBody, Spool
from engine.store.writer import Store, Tx
from engine.transcript import Trace
from engine.world import World

CRASHES = 2
"""Crashed attempts after which a message is given up: the fault is in the message, or in us."""

GIVE_UP_AT_ONCE = 100
"""Maximum messages given up in one commit, so that other commits do not wait long."""


class Withdrawn(EngineError):
    """The message was cancelled, or the lane is stopping, before the final dot: nothing was sent."""

    fault = Fault.CALLER


GRACE = 3600.0
"""Seconds after a start during which messages that had already expired by then are not given up.

The wall clock may have been far ahead at the start.
"""


class Policy(msgspec.Struct, frozen=True):
    """When a failed attempt is repeated: `schedule` in seconds, `jitter` as a fraction of each wait."""

    schedule: tuple[float, ...]
    jitter: float


class CurrentAttempt:
    """An attempt in progress: `begin` makes it, `record` or `take_back` ends it.

    `body` is None only if the journal has lost it; the attempt then crashes. `trace` holds the SMTP dialogue.
    """

    def __init__(
        self, message: Message, recipients: list[Recipient], tried: list[str], body: MessageBody | None
    ) -> None:
        self.message = message
        self.recipients = recipients
        self.body = body
        self.envelope = SmtpEnvelope(
            sender=message.sender,
            recipients=tuple(tried),
            smtputf8=message.smtputf8,
            size=message.size,
            envelope_id=message.queue_id,
            eight_bit=message.eight_bit,
            dsn=message.dsn,
        )
        self.trace = Trace()
        self.taken: dict[str, Verdict] = {}
        """Recipients already recorded as accepted, while the rest of a long list is being sent."""
        self.routing: dict[str, str] | None = None
        """The `networkRouting` of its events, `proxy` and `localAddress`; None if neither was chosen."""
        self.decided: dict[str, Verdict] = {}
        """Verdicts that stand although the connection then lost step; the other recipients are sent again."""
        self.quota: SendingQuota | None = None
        """What its transactions count against; None: nothing."""
        self.use: int | None = None
        """The row of the transaction that counts and is not answered yet."""

    @property
    def next_recipients(self) -> int:
        """The most recipients that the next transaction can have."""
        left = len(self.envelope.recipients) - len(self.taken) - len(self.decided)
        return max(1, min(left, self.envelope.group))

    def verdicts(self, others: Verdict) -> dict[str, Verdict]:
        """A verdict for each recipient of this attempt: its own, else `others`."""
        return {each: self.decided.get(each, others) for each in self.envelope.recipients}


class Attempts:
    """Begins, performs and ends attempts for the lanes of all accounts."""

    def __init__(self, store: Store, spool: Spool, recorder: Recorder, policy: Policy, world: World) -> None:
        self._store = store
        self._spool = spool
        self._recorder = recorder
        self._policy = policy
        self._world = world
        self._began = world.now()
        self._clock = self._began - trio.current_time()
        self.verdicts: Counter[Kind] = Counter()
        """Attempts recorded, by result."""

    def _stepped(self) -> float:
        """Seconds by which the wall clock was set ahead since the start; messages do not age by them."""
        return self._world.now() - trio.current_time() - self._clock

    def wait_after(self, failed: int) -> float:
        """Seconds until the next attempt after the `failed`-th failed one in a row."""
        return retry.delay(self._policy.schedule, failed, self._policy.jitter, self._world.random.random())

    def expires_at(self, due: float, attempts_max: int) -> float:
        """When a message that is `due` is given up if its account cannot send at all.

        In terms of the wall clock as it would read if it had not been set since the start; it is compared with that.
        """
        return due - self._stepped() + retry.horizon(self._policy.schedule, attempts_max, self._policy.jitter)

    def began_since(self, account: str, since: float) -> list[float]:
        """The start times of the account's recorded attempts after `since` (seconds since 1970), in order."""
        return attempts.started_since(self._store.reader, account, since)

    def first_with_own_way(self, lane: LaneId) -> tuple[int, float] | None:
        """A due message of the lane with its own proxy or local address, and when it was due."""
        return messages.first_with_own_way(self._store.reader, lane, self._world.now())

    def quota(self, account: str, limits: Quota | None) -> SendingQuota:
        """What an account with these limits may send; it still has to be loaded."""
        return SendingQuota(account, limits, self._store, self._world)

    def open_recipients(self, message: int) -> int:
        """How many recipients of a message may have to be sent to."""
        return messages.open_recipients(self._store.reader, message)

    async def begin(self, message: int, due: float) -> CurrentAttempt | None:
        """Record the start of an attempt; None if the message is no longer due at `due`."""
        now = self._world.now()
        return await self._store.commit(lambda tx: self._begin(tx, message, due, now))

    async def hand_over(self, attempt: CurrentAttempt, session: SmtpSession) -> tuple[dict[str, Verdict], Verdict]:
        """Send the message; return a verdict for each recipient and one for the attempt as a whole.

        Raises `Withdrawn`, `StorageFailed`, and `DeliveryError` if the connection lost step; the caller may then hand
        the attempt over again on a new connection. Cancelled before the dot: nothing was sent; after it: in doubt.
        """
        assert attempt.body is not None
        session.trace = attempt.trace
        envelope = attempt.envelope
        if attempt.quota is not None:
            envelope = attempt.envelope = msgspec.structs.replace(envelope, group=attempt.quota.group)
        if attempt.decided:
            left = tuple(each for each in envelope.recipients if each not in attempt.decided)
            envelope = msgspec.structs.replace(envelope, recipients=left)
        try:
            outcome = await session.send(
                envelope,
                _Octets(attempt.body, self._spool),
                lambda: self._dot(attempt),
                lambda verdicts: self._taken(attempt, verdicts),
            )
        except DeliveryError as error:
            attempt.decided.update(error.recipients)
            if error.out_of_step:
                raise
            return attempt.verdicts(error.verdict), error.verdict
        verdicts = {**outcome.recipients, **attempt.decided}
        return verdicts, _overall(verdicts)

    async def record(
        self,
        attempt: CurrentAttempt,
        verdicts: dict[str, Verdict],
        overall: Verdict,
        report: dict[str, object],
        following: tuple[int, float] | None,
        *,
        free: bool = False,
    ) -> tuple[Judgement, CurrentAttempt | None]:
        """Commit how the attempt ended and, if there is to be another, when the message is due again.

        `following` is the next message and when it was due. Its attempt begins in the same commit, which saves a sync,
        and is returned; None if there is no `following` or it is no longer due. `free`: the attempt does not count.
        """
        now = self._world.now()
        if free:
            attempt.message.attempts_max += 1
        retry_at = now + self.wait_after(attempt.message.attempts_made)

        def change(tx: Tx) -> tuple[Judgement, CurrentAttempt | None]:
            if free:
                messages.allow_attempts(tx, attempt.message.id, attempt.message.attempts_max)
            judgement = self._end(tx, attempt, verdicts, overall, now, retry_at, report)
            return judgement, self._begin(tx, *following, now) if following is not None else None

        found = await self._store.commit(change)
        self.verdicts[overall.kind] += 1
        return found

    async def crashed(self, attempt: CurrentAttempt, error: Exception, *, in_flight: bool) -> None:
        """Record an attempt that an unexpected error ended.

        After the dot (`in_flight`) the message is in doubt. Before it, the first crash defers the message and the
        second gives it up. Does nothing if the attempt's end is already recorded.
        """
        now, crashes = self._world.now(), attempt.message.interruptions + 1
        text = f"Internal error: {error!r}"
        if in_flight:
            verdict = Verdict(Kind.DOUBT, Stage.DOT, None, None, text)
        else:
            verdict = Verdict(Kind.REJECTED if crashes >= CRASHES else Kind.LATER, Stage.DATA, None, None, text)
        verdicts = dict.fromkeys(attempt.envelope.recipients, verdict)
        retry_at = now + self.wait_after(attempt.message.attempts_made)
        await self._store.commit(lambda tx: self._end(tx, attempt, verdicts, verdict, now, retry_at, {}, crashes))
        self.verdicts[verdict.kind] += 1

    async def take_back(self, attempt: CurrentAttempt, refused: Verdict | None = None, again_in: float = 0.0) -> None:
        """Undo the start of an attempt that was interrupted before its final dot.

        The message is due again at its old time, unless it is in doubt and its `onDoubt` was changed to `hold` during
        the attempt. `refused` is the verdict of a refused login: a `messageDeliveryError` reports it, although it does
        not count as an attempt. The next login follows in `again_in` seconds.
        """
        message, still_due, again_at = attempt.message, self._still_due(attempt), self._world.now() + again_in

        def change(tx: Tx) -> None:
            _count(tx, attempt, 0)
            states = [each.state for each in messages.recipients(tx, message.id)]
            due = self._recorder.due_again(tx, message, states, still_due)
            if messages.undo_attempt(tx, message.id, message_state(states), due, message.interruptions):
                attempts.undo(tx, message.id, message.attempts_made)
                if due is not None:
                    self._recorder.due(tx, message, due)
                if refused is not None:
                    before = msgspec.structs.replace(message, attempts_made=message.attempts_made - 1)
                    unsent = [each for each in attempt.recipients if each.address in attempt.envelope.recipients]
                    told = outcome_events.delivery_error(before, unsent, [], refused, again_at)
                    told["networkRouting"] = attempt.routing
                    self._recorder.announce(tx, message, "messageDeliveryError", told)

        await self._store.commit(change)
        if refused is not None:
            self.verdicts[refused.kind] += 1

    async def unanswered(
        self, attempt: CurrentAttempt, verdict: Verdict, report: dict[str, object], goes_on: float
    ) -> None:
        """End an attempt in which the server never answered.

        The message stays due at its old time; the lane sends again at `goes_on` (seconds since 1970). Only the first
        such attempt counts and is reported as failed, not each later probe of the server. It never counts as the last
        of several attempts: a message that waits like this ends when it expires.
        """
        message, now = attempt.message, self._world.now()
        told = message.last_error is not None and "statusCode" not in message.last_error
        last_of_several = 1 < message.attempts_max <= message.attempts_made
        if (told or last_of_several) and now - self._stepped() < message.expires_at:
            await self.take_back(attempt)
            return
        verdicts = attempt.verdicts(verdict)
        await self._store.commit(
            lambda tx: self._end(tx, attempt, verdicts, verdict, now, self._still_due(attempt), report, goes_on=goes_on)
        )
        self.verdicts[verdict.kind] += 1

    def _still_due(self, attempt: CurrentAttempt) -> float:
        """When the message was due, or now if the clock has since been set back to before that."""
        now = self._world.now()
        return min(attempt.message.next_at or now, now)

    async def withdrawn(self, attempt: CurrentAttempt) -> None:
        """End the record of an attempt whose message was cancelled before the final dot."""
        message, now = attempt.message, self._world.now()
        encoded = msgspec.json.encode({"outcome": "cancelled", "transcript": attempt.trace.lines()})
        await self._store.commit(lambda tx: attempts.end(tx, message.id, message.attempts_made, now, encoded))

    async def give_up_overdue(self, lane: LaneId, verdict: Verdict) -> None:
        """Fail, with `verdict`, the expired messages of a lane that cannot send."""
        more = True
        while more:
            now = self._world.now()

            def change(tx: Tx, now: float = now) -> bool:
                counted = now - self._stepped()
                since = self._began if counted < self._began + GRACE else 0.0
                overdue = messages.overdue(tx, lane, now, since, counted, GIVE_UP_AT_ONCE)
                for message in overdue:
                    recipients = messages.recipients(tx, message.id)
                    self._recorder.settle(tx, message, judgements.given_up(message, recipients, verdict), now)
                return len(overdue) == GIVE_UP_AT_ONCE

            more = await self._store.commit(change)

    def _end(
        self,
        tx: Tx,
        attempt: CurrentAttempt,
        verdicts: dict[str, Verdict],
        overall: Verdict,
        now: float,
        retry_at: float,
        report: dict[str, object],
        interruptions: int = 0,
        goes_on: float | None = None,
    ) -> Judgement:
        message, recipients = attempt.message, attempt.recipients
        if attempt.taken:
            recipients = messages.recipients(tx, message.id)
        left = {address: verdict for address, verdict in verdicts.items() if address not in attempt.taken}
        kinds = [each.kind for each in left.values()]
        if Kind.DOUBT not in kinds:
            _count(tx, attempt, kinds.count(Kind.ACCEPTED))
        unknown = message.doubt_since is not None or Kind.DOUBT in kinds
        evidence = False
        if unknown:
            evidence = self._recorder.evidence(tx, message)
            # The caller may have changed it during the attempt.
            message.on_doubt = messages.on_doubt(tx, message.id)
        if message.expires_at <= self._began:
            message.expires_at = self._began + GRACE
        message.expires_at += self._stepped()
        judgement = judge(
            message, recipients, left, overall, now=now, retry_at=retry_at, evidence=evidence, goes_on=goes_on
        )
        _add_routing(attempt, judgement)
        told = self._recorder.end_attempt(tx, message, judgement, now, interruptions)
        encoded = msgspec.json.encode({**report, **_said(attempt, verdicts, overall), "events": told})
        attempts.end(tx, message.id, message.attempts_made, now, encoded)
        return judgement

    def _begin(self, tx: Tx, number: int, due: float, now: float) -> CurrentAttempt | None:
        message = messages.get(tx, number)
        if message is None or message.next_at != due or not messages.begin_attempt(tx, number, due):
            return None
        message.attempts_made += 1
        recipients = messages.recipients(tx, number)
        unknown = State.IN_DOUBT in [each.state for each in recipients]
        evidence = unknown and self._recorder.evidence(tx, message)
        spent = message.attempts_made > message.attempts_max
        # The message is due, even if the wall clock has been set back since.
        tried = doubt.addresses_due(message, recipients, now=max(now, due), evidence=evidence)
        reasons = {} if spent else suppressed_since(tx, message, tried, now)
        left = [each for each in tried if each not in reasons]
        if spent or not left:
            message.attempts_made -= 1
            messages.undo_attempt(tx, number, message.state, None, message.interruptions)
            if reasons:
                judgement = judgements.left_out(message, recipients, reasons, now, evidence=evidence)
                self._recorder.note_left_out(tx, message, judgement)
            else:
                # Only doubts are left, and no evidence cleared them up in time.
                judgement = judgements.given_up(message, recipients, judgements.UNKNOWN)
            self._recorder.settle(tx, message, judgement, now)
            return None
        if reasons:
            judgement = judgements.left_out(message, recipients, reasons, now, evidence=evidence)
            recipients = self._recorder.left_out(tx, message, judgement)
        attempts.begin(tx, number, now)
        return CurrentAttempt(message, recipients, left, bodies.get(tx, number))

    async def _dot(self, attempt: CurrentAttempt) -> None:
        now, message, quota = self._world.now(), attempt.message, attempt.quota

        def change(tx: Tx) -> bool:
            marked = messages.mark_dot(tx, message.id, now)
            if marked and quota is not None:
                attempt.use = quota.begin(tx, message.id, message.attempts_made, attempt.next_recipients)
            return marked

        if not await self._store.commit(change):
            raise Withdrawn("cancelled before the final dot")

    async def _taken(self, attempt: CurrentAttempt, verdicts: dict[str, Verdict]) -> None:
        accepted = {address: verdict for address, verdict in verdicts.items() if verdict.kind is Kind.ACCEPTED}
        message = attempt.message

        def change(tx: Tx) -> None:
            _count(tx, attempt, len(accepted))
            if accepted:
                judgement = judgements.taken(message, attempt.recipients, accepted)
                _add_routing(attempt, judgement)
                self._recorder.taken(tx, message, judgement)
            else:
                messages.clear_dot(tx, message.id)

        await self._store.commit(change)
        attempt.taken.update(accepted)


def _count(tx: Tx, attempt: CurrentAttempt, accepted: int) -> None:
    """Count the transaction that has just been answered, or not if it had no success."""
    if attempt.quota is not None and attempt.use is not None:
        attempt.quota.ended(tx, attempt.use, accepted)
        attempt.use = None


def _add_routing(attempt: CurrentAttempt, judgement: Judgement) -> None:
    """Add the attempt's routing to its events."""
    for _, data in judgement.events:
        if "networkRouting" in data:
            data["networkRouting"] = attempt.routing


class _Octets:
    """A message's octets as sent, read again for each transaction."""

    def __init__(self, body: MessageBody, spool: Spool) -> None:
        self._body = body
        self._spool = spool

    def __iter__(self) -> Iterator[bytes]:
        yield self._body.header + b"\r\n"
        if self._body.content is not None:
            yield self._body.content
        if self._body.spool is not None:
            yield from self._spool.blocks(self._body.spool)


def _overall(verdicts: dict[str, Verdict]) -> Verdict:
    """The verdict of the attempt as a whole: accepted if any recipient was, else the mildest refusal."""
    order = (Kind.ACCEPTED, Kind.DOUBT, Kind.LATER, Kind.LOGIN_REFUSED, Kind.REJECTED)
    return min(verdicts.values(), key=lambda verdict: order.index(verdict.kind))


def _said(attempt: CurrentAttempt, verdicts: dict[str, Verdict], overall: Verdict) -> dict[str, object]:
    """The part of an attempt's report that describes its outcome."""
    said: dict[str, object] = {
        "outcome": overall.kind,
        "response": overall.text,
        "replies": {address: verdict.text for address, verdict in verdicts.items()},
        "transcript": attempt.trace.lines(),
    }
    if overall.kind is not Kind.ACCEPTED:
        said.update(error=error_text(overall), errorCode=error_code(overall))
    return said
