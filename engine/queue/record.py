"""Writing a judgement down: states, events and the end of the body in one transaction.

Whoever judges a message (a try, evidence, a decision of the caller, a start) writes it through here, so a state never
changes without its event and a body never outlives its use.
"""

from __future__ import annotations

from engine.events.journal import Journal
from engine.queue.lifecycle import State
from engine.queue.outcome import Judgement
from engine.queue.schedule import Schedule
from engine.store import accounts, bodies, copies, messages
from engine.store.bodies import Spool
from engine.store.messages import Message
from engine.store.writer import Tx


class Recorder:
    """What writing a judgement needs beside the transaction."""

    def __init__(self, spool: Spool, journal: Journal, schedule: Schedule) -> None:
        self._spool = spool
        self._journal = journal
        self._schedule = schedule

    def end_try(self, tx: Tx, message: Message, judgement: Judgement, now: float, interruptions: int = 0) -> bool:
        """Write how the try in hand ended; False, and nothing written, when the message is not being sent any more."""
        written = messages.end_try(
            tx,
            message.id,
            state=judgement.state,
            next_at=judgement.next_at,
            error=judgement.error,
            doubt_since=judgement.doubt_since,
            interruptions=interruptions,
            ended=now if judgement.ended else None,
        )
        if written:
            self._follow(tx, message, judgement, now)
        return written

    def settle(self, tx: Tx, message: Message, judgement: Judgement, now: float) -> None:
        """Write a judgement made between tries; the caller has looked at the message in this transaction."""
        messages.settle(
            tx,
            message.id,
            state=judgement.state,
            next_at=judgement.next_at,
            doubt_since=judgement.doubt_since,
            ended=now if judgement.ended else None,
        )
        self._follow(tx, message, judgement, now)

    def taken(self, tx: Tx, message: Message, judgement: Judgement) -> None:
        """Write who got it already in a try that goes on; the mark of that dot is gone with its reply on record."""
        messages.clear_dot(tx, message.id)
        self._write(tx, message, judgement)

    def drop(self, tx: Tx, message: Message) -> None:
        """Drop the body of a message that ended without being sent."""
        bodies.drop(tx, message.id, self._spool)

    def announce(self, tx: Tx, message: Message, name: str, data: dict[str, object]) -> None:
        """Add an event about a message."""
        self._journal.append(tx, name, message.account, data)

    def due(self, tx: Tx, message: Message, at: float, *, scheduled: bool = False) -> None:
        """Have the message taken at `at`, once this is on disk. `scheduled`: that is a moment its caller chose."""
        agenda = self._schedule.of(message.account)
        tx.after_commit(lambda: agenda.add(message.id, at, scheduled=scheduled))

    def evidence(self, tx: Tx, message: Message) -> bool:
        """Whether the provider's Sent folder may tell what became of a doubt."""
        return accounts.files_sent(tx, message.account)

    def _follow(self, tx: Tx, message: Message, judgement: Judgement, now: float) -> None:
        self._write(tx, message, judgement)
        if judgement.next_at is not None:
            self.due(tx, message, judgement.next_at)
        elif judgement.ended:
            if judgement.state is State.SENT and message.copy_path is not None:
                copies.insert(tx, message.id, message.account, message.copy_path, now)
            else:
                self.drop(tx, message)

    def _write(self, tx: Tx, message: Message, judgement: Judgement) -> None:
        for recipient in judgement.recipients:
            messages.set_recipient(tx, message.id, recipient)
        for name, data in judgement.events:
            self.announce(tx, message, name, data)
