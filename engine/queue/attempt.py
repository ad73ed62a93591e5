"""One try to send one message: begin, hand over, record.

Reads top to bottom as what happens. The try is recorded before anything is dialled; `dot_pending` (the message's
`dot_at`) is on disk before the final dot leaves; the outcome, its events and the end of the body are one commit.
Interrupted before the dot, the try is taken back and does not count; interrupted after it, the journal keeps `dot_at`
and the next start finds the message in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.errors import EngineError, Fault
from engine.events.journal import Journal
from engine.queue import retry
from engine.queue.lifecycle import ENDED, State
from engine.queue.outcome import Judgement, judge
from engine.queue.schedule import Agenda
from engine.smtp.session import DeliveryError, Envelope, SmtpSession
from engine.smtp.verdict import Kind, Verdict
from engine.store import bodies, copies, messages
from engine.store.bodies import Body, Spool
from engine.store.messages import Message, Recipient
from engine.store.writer import Store, Tx
from engine.world import World


class Withdrawn(EngineError):
    """The message was cancelled, or the lane is stopping, before the final dot: nothing was sent."""

    fault = Fault.CALLER


class Policy(msgspec.Struct, frozen=True):
    """When failed tries are repeated: waits in seconds and the share of jitter."""

    schedule: tuple[float, ...]
    jitter: float


class Try:
    """A message being tried: made by `begin`, ended by `record` or `take_back`."""

    def __init__(self, message: Message, recipients: list[Recipient], body: Body) -> None:
        self.message = message
        self.recipients = recipients
        self.body = body
        self.envelope = Envelope(
            sender=message.sender,
            recipients=tuple(each.address for each in recipients if State(each.state) not in ENDED),
            smtputf8=message.smtputf8,
            size=message.size,
        )
        self.dot_at: float | None = None


class Attempts:
    """What tries need: the store, the journal, the retry policy."""

    def __init__(self, store: Store, spool: Spool, journal: Journal, policy: Policy, world: World) -> None:
        self._store = store
        self._spool = spool
        self._journal = journal
        self._policy = policy
        self._world = world

    async def begin(self, message: int) -> Try | None:
        """Record the start of a try; None when the message is not waiting any more."""
        now = self._world.now()

        return await self._store.commit(lambda tx: _begin(tx, message, now))

    async def hand_over(self, attempt: Try, session: SmtpSession) -> tuple[dict[str, Verdict], Verdict]:
        """Send it: a verdict for each recipient, and one for the try as a whole.

        Raises `Withdrawn`, `StorageFailed`. Cancelled before the dot: nothing was sent; after it: in doubt.
        """
        try:
            outcome = await session.send(attempt.envelope, self._octets(attempt.body), lambda: self._dot(attempt))
        except DeliveryError as error:
            verdicts = {each: error.recipients.get(each, error.verdict) for each in attempt.envelope.recipients}
            return verdicts, error.verdict
        return outcome.recipients, _overall(outcome.recipients)

    async def record(
        self,
        attempt: Try,
        verdicts: dict[str, Verdict],
        overall: Verdict,
        agenda: Agenda,
        report: dict[str, object],
        following: int | None,
    ) -> tuple[Judgement, Try | None]:
        """Commit how the try ended; the message goes back on the agenda if it is to be tried again.

        `following` is a message whose try begins in the same commit, which saves a sync; its try is returned, None
        without one or when it is not waiting any more.
        """
        message, now = attempt.message, self._world.now()
        wait = retry.delay(self._policy.schedule, message.attempts_made, self._policy.jitter, self._world.random)
        judgement = judge(message, attempt.recipients, verdicts, overall, retry_at=now + wait)
        encoded = msgspec.json.encode(report)

        def change(tx: Tx) -> Try | None:
            for recipient in judgement.recipients:
                messages.set_recipient(tx, message.id, recipient)
            messages.end_try(
                tx,
                message.id,
                state=judgement.state,
                next_at=judgement.next_at,
                error=judgement.error,
                now=now,
                report=encoded,
            )
            for name, data in judgement.events:
                self._journal.append(tx, name, message.account, data)
            if judgement.next_at is not None:
                due = judgement.next_at
                tx.after_commit(lambda: agenda.add(message.id, due))
            elif judgement.state is State.SENT and message.copy_path is not None:
                copies.insert(tx, message.id, message.account, message.copy_path, now)
            else:
                bodies.drop(tx, message.id, self._spool)
            return _begin(tx, following, now) if following is not None else None

        return judgement, await self._store.commit(change)

    async def take_back(self, attempt: Try, agenda: Agenda) -> None:
        """Undo the start of a try that was interrupted before its final dot; the message is due again at once."""
        message, now = attempt.message, self._world.now()
        state = State.DEFERRED if message.attempts_made > 1 else State.QUEUED

        def change(tx: Tx) -> None:
            if messages.undo_try(tx, message.id, state, now):
                tx.after_commit(lambda: agenda.add(message.id, now))

        await self._store.commit(change)

    async def _dot(self, attempt: Try) -> None:
        now = self._world.now()
        if not await self._store.commit(lambda tx: messages.mark_dot(tx, attempt.message.id, now)):
            raise Withdrawn("cancelled before the final dot")
        attempt.dot_at = now

    def _octets(self, body: Body) -> Iterator[bytes]:
        yield body.header + b"\r\n"
        if body.spool is not None:
            yield from self._spool.blocks(body.spool)
        else:
            yield body.content or b""


def _begin(tx: Tx, message: int, now: float) -> Try | None:
    if not messages.begin_try(tx, message, now):
        return None
    row, body = messages.get(tx, message), bodies.get(tx, message)
    assert row is not None and body is not None
    return Try(row, messages.recipients(tx, message), body)


def _overall(verdicts: dict[str, Verdict]) -> Verdict:
    """What the try as a whole came to: accepted if anybody got it, else the mildest refusal."""
    order = (Kind.ACCEPTED, Kind.DOUBT, Kind.LATER, Kind.LOGIN_REFUSED, Kind.REJECTED)
    return min(verdicts.values(), key=lambda verdict: order.index(verdict.kind))
