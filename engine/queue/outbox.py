"""What callers may do with waiting mail: cancel it, move it, decide a doubt, release what is held.

Each of these is a compare-and-set in one commit, so it takes effect whole or not at all. A message can be cancelled
until the journal marks its final dot: before that it is certain not to be sent, after that it is too late. A message in
doubt may already have arrived, so it cannot be cancelled; setting its `onDoubt` to `fail` gives it up.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from engine.isotime import iso
from engine.model.message import Message, OnDoubt, Recipient
from engine.model.message_states import ENDED, State, message_state
from engine.queue import judgements, outcome_events
from engine.queue.recorder import Recorder
from engine.store import follow_ups, messages, sent_copies
from engine.store.writer import Store, Tx
from engine.world import World


class TooLate(msgspec.Struct, frozen=True):
    """The reason, in plain words, why a message could not be changed."""

    reason: str


class Cancelled(msgspec.Struct, frozen=True):
    """The message was cancelled. `already_sent`: the recipients who got it in an earlier attempt."""

    already_sent: tuple[str, ...]


UNKNOWN = TooLate("There is no message with this queueId")


class Outbox:
    """The waiting mail of all accounts. Every coroutine raises `StorageFailed` and `StorageFull`."""

    def __init__(
        self, store: Store, recorder: Recorder, expires_at: Callable[[float, int], float], world: World
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._expires_at = expires_at
        self._world = world

    async def cancel(self, queue_id: str) -> Cancelled | TooLate:
        """Cancel a message, unless it is in doubt or its final dot may be on its way."""
        now = self._world.now()

        def change(tx: Tx) -> Cancelled | TooLate:
            message = _open(tx, queue_id)
            if isinstance(message, TooLate):
                return message
            recipients = messages.recipients(tx, message.id)
            if message.state == State.IN_DOUBT or any(each.state == State.IN_DOUBT for each in recipients):
                return TooLate(_IN_DOUBT)
            if not messages.cancel(tx, message.id, now):
                return TooLate("It is being handed over right now: its final dot may be on its way")
            self._recorder.drop(tx, message.id)
            follow_ups.remove_all(tx, message.id)
            rest = [each for each in recipients if each.state not in ENDED]
            self._recorder.announce(tx, message, "messageCancelled", outcome_events.cancelled(message, rest))
            return Cancelled(tuple(each.address for each in recipients if each.state == State.SENT))

        return await self._store.commit(change)

    def end_account(self, tx: Tx, account: str, now: float) -> None:
        """End all mail of an account that is being removed; its Sent copies are no longer owed.

        Only messages that may already have been sent get an event: they fail, with their outcome unknown.
        """
        for number in messages.open_of_account(tx, account):
            message = messages.get(tx, number)
            assert message is not None
            if messages.cancel(tx, number, now):
                self._recorder.drop(tx, message.id)
                self._recorder.note(tx, message, "cancelled", reason="accountRemoved")
            else:
                recipients = messages.recipients(tx, number)
                self._recorder.settle(tx, message, judgements.given_up(message, recipients, judgements.UNKNOWN), now)
        for number in sent_copies.of_account(tx, account):
            sent_copies.remove(tx, number)
            self._recorder.drop(tx, number)

    async def move(self, queue_id: str, send_at: float | None) -> TooLate | None:
        """Make the next attempt at `send_at` (seconds since 1970; None: now), releasing the message if it is held.

        For a message in doubt this is the decision to send it again.
        """
        now = self._world.now()

        def change(tx: Tx) -> TooLate | None:
            message = _open(tx, queue_id)
            if isinstance(message, TooLate):
                return message
            if message.state == State.SENDING:
                return TooLate("It is being sent right now")
            at = now if send_at is None else max(send_at, now)
            what = {State.IN_DOUBT: "doubtDecided", State.HELD: "released"}.get(message.state, "rescheduled")
            self._recorder.note(tx, message, what, sendAt=iso(at), **_resent(message))
            self._let_go(tx, message, at)
            scheduled = None if send_at is None else at
            messages.reschedule(tx, message.id, scheduled, self._expires_at(at, message.attempts_max))
            self._recorder.due(tx, message, at, scheduled=send_at is not None)
            return None

        return await self._store.commit(change)

    async def choose_on_doubt(self, queue_id: str, choice: OnDoubt) -> TooLate | None:
        """Change the message's `onDoubt`, even if its outcome is already unknown."""
        now = self._world.now()

        def change(tx: Tx) -> TooLate | None:
            message = _open(tx, queue_id)
            if isinstance(message, TooLate):
                return message
            messages.choose_on_doubt(tx, message.id, choice)
            is_open = message.state == State.IN_DOUBT
            self._recorder.note(tx, message, "doubtDecided" if is_open else "onDoubtChanged", onDoubt=choice)
            if is_open:
                self._decide(tx, message, messages.recipients(tx, message.id), choice, now)
            return None

        return await self._store.commit(change)

    def _decide(self, tx: Tx, message: Message, recipients: list[Recipient], choice: OnDoubt, now: float) -> None:
        if choice is OnDoubt.FAIL:
            self._recorder.settle(tx, message, judgements.doubt_given_up(message, recipients, now), now)
        elif choice is OnDoubt.RESEND:
            self._let_go(tx, message, now)
            self._recorder.due(tx, message, now)
        else:
            others = any(each.state in (State.QUEUED, State.DEFERRED) for each in recipients)
            messages.settle(
                tx,
                message.id,
                state=State.IN_DOUBT,
                next_at=message.next_at if others else None,
                doubt_since=message.doubt_since,
                ended=None,
            )

    def _let_go(self, tx: Tx, message: Message, at: float) -> None:
        """Make all open recipients wait for an attempt at `at`, even if they are held or in doubt."""
        recipients = messages.recipients(tx, message.id)
        for each in recipients:
            if each.state == State.HELD:
                each.state = State.QUEUED
                messages.set_recipient(tx, message.id, each)
        if message.state is State.IN_DOUBT:
            messages.choose_on_doubt(tx, message.id, OnDoubt.RESEND)
            if message.attempts_made >= message.attempts_max:
                messages.allow_attempts(tx, message.id, message.attempts_made + 1)
        state = message_state(each.state for each in recipients)
        messages.settle(tx, message.id, state=state, next_at=at, doubt_since=None, ended=None)


def _resent(message: Message) -> dict[str, str]:
    """What a time to send a message decides about a doubt, if it is in doubt."""
    return {"onDoubt": OnDoubt.RESEND} if message.state is State.IN_DOUBT else {}


def _open(tx: Tx, queue_id: str) -> Message | TooLate:
    """The message; `TooLate` if it does not exist or has ended."""
    message = messages.by_queue_id(tx, queue_id)
    if message is None:
        return UNKNOWN
    state = message.state
    return TooLate(_ENDED[state]) if state in ENDED else message


_IN_DOUBT = (
    "It is in doubt: the message may have been delivered already. "
    'PUT {"onDoubt":"fail"} gives it up, {"onDoubt":"hold"} keeps it from being sent again'
)
_ENDED = {
    State.SENT: "It was sent already",
    State.FAILED: "It has failed already",
    State.CANCELLED: "It was cancelled already",
}
