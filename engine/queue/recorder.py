"""Writes a judgement: states, events and the removal of the body in one transaction.

Every judgement of a message (by an attempt, by evidence, by the caller, at a start) is written here, so a state never
changes without its event and a body never outlives its use.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from engine.events.journal import Journal
from engine.model.message import Message, Recipient
from engine.model.message_states import State
from engine.queue import doubt
from engine.queue.outcome import Judgement
from engine.queue.schedule import Schedule
from engine.repeated_errors import counted
from engine.store import accounts, bodies, follow_ups, gateways, messages, sent_copies, timeline
from engine.store.bodies import Spool
from engine.store.timeline import About
from engine.store.writer import Tx

log = logging.getLogger("engine.queue")

SUPPRESSED = "EENVELOPE"
"""The error code that, without any attempt, only messages have whose recipients are suppressed."""
Told = tuple[int, str]
"""An event: its number and its name."""


class Recorder:
    """Writes judgements; each method takes the transaction to write in."""

    def __init__(self, spool: Spool, journal: Journal, schedule: Schedule) -> None:
        self._spool = spool
        self._journal = journal
        self._schedule = schedule

    def end_attempt(
        self, tx: Tx, message: Message, judgement: Judgement, now: float, interruptions: int = 0
    ) -> list[Told]:
        """Write how the current attempt ended; return its events, which belong into its report.

        Writes nothing if the message is no longer being sent.
        """
        written = messages.end_attempt(
            tx,
            message.id,
            state=judgement.state,
            next_at=judgement.next_at,
            error=judgement.error,
            doubt_since=judgement.doubt_since,
            interruptions=interruptions,
            ended=now if judgement.ended else None,
        )
        if not written:
            return []
        told = self._write(tx, message, judgement, of_attempt=True)
        self._follow(tx, message, judgement, now)
        return told

    def settle(self, tx: Tx, message: Message, judgement: Judgement, now: float) -> None:
        """Write a judgement made between attempts; the caller has read the message in this transaction."""
        messages.settle(
            tx,
            message.id,
            state=judgement.state,
            next_at=judgement.next_at,
            doubt_since=judgement.doubt_since,
            ended=now if judgement.ended else None,
            error=judgement.error,
        )
        self._write(tx, message, judgement)
        self._follow(tx, message, judgement, now)

    def taken(self, tx: Tx, message: Message, judgement: Judgement) -> None:
        """Write who was accepted so far in an attempt that continues, and clear the mark of that final dot."""
        messages.clear_dot(tx, message.id)
        self._write(tx, message, judgement)

    def left_out(self, tx: Tx, message: Message, judgement: Judgement) -> list[Recipient]:
        """Write who is left out of an attempt that begins; return all recipients with their new states."""
        self.note_left_out(tx, message, judgement)
        self._write(tx, message, judgement)
        return messages.recipients(tx, message.id)

    def note_left_out(self, tx: Tx, message: Message, judgement: Judgement) -> None:
        """Note in the timeline to whom the message is not sent after all: an event follows only once it ends."""
        for each in judgement.recipients:
            timeline.note(
                tx, About(message.id, each.address, {"response": each.response}), "notSent", self._journal.now()
            )

    def drop(self, tx: Tx, message: int) -> None:
        """Drop the body of a message that has ended and owes no Sent copy."""
        bodies.drop(tx, message, self._spool)

    def announce(self, tx: Tx, message: Message, name: str, data: dict[str, object]) -> None:
        """Add an event about a message, and note it in its timeline."""
        self._journal.append(tx, name, message.account, data, about=About(message.id))

    def note(self, tx: Tx, message: Message, what: str, **detail: object) -> None:
        """Note in the timeline what happened to a message without an event."""
        timeline.note(tx, About(message.id, None, detail), what, self._journal.now())

    def due(self, tx: Tx, message: Message, at: float, *, scheduled: bool = False) -> None:
        """Put the message on its agenda for `at` after the commit. `scheduled`: the caller chose that time."""
        add = partial(self._schedule.add, message.id, at, account=message.account, gateway=message.gateway)
        tx.after_commit(lambda: add(scheduled=scheduled))

    def evidence(self, tx: Tx, message: Message) -> bool:
        """Whether the provider's Sent folder may settle a doubt about this message."""
        return message.gateway is None and accounts.files_sent(tx, message.account)

    def due_again(self, tx: Tx, message: Message, states: list[State], at: float) -> float | None:
        """When a message is due whose attempt is taken back (seconds since 1970); None: never.

        That is `at`, unless a doubt waits for evidence or a decision. The caller may have changed `onDoubt` during the
        attempt, so it is read again.
        """
        if State.IN_DOUBT not in states:
            return at
        choice, evidence = messages.on_doubt(tx, message.id), self.evidence(tx, message)
        return doubt.due(states, choice, retry_at=at, doubt_since=message.doubt_since, evidence=evidence)

    def _follow(self, tx: Tx, message: Message, judgement: Judgement, now: float) -> None:
        if judgement.next_at is not None:
            self.due(tx, message, judgement.next_at)
        elif judgement.ended:
            if judgement.state is State.SENT:
                follow_ups.sent(tx, message.id, now)
                if message.gateway is not None:
                    gateways.delivered(tx, message.gateway, now)
            else:
                follow_ups.remove_all(tx, message.id)
            if judgement.state is State.SENT and message.copy_path is not None:
                sent_copies.insert(tx, message.id, message.account, message.copy_path, now)
            else:
                self.drop(tx, message.id)

    def _write(self, tx: Tx, message: Message, judgement: Judgement, *, of_attempt: bool = False) -> list[Told]:
        """`of_attempt`: the report of the attempt names the events, so that the timeline needs no row for them."""
        about, told = None if of_attempt else About(message.id), list[Told]()
        for recipient in judgement.recipients:
            messages.set_recipient(tx, message.id, recipient)
        self._journal.deliveries.judged(tx, message, judgement.recipients, of_attempt=of_attempt)
        for name, data in judgement.events:
            told.append((self._journal.append(tx, name, message.account, data, about=about), name))
            if name == "messageFailed" or (name == "messageInDoubt" and _is_new_doubt(message, judgement)):
                tx.after_commit(partial(_tell, message, name, data))
        return told


def _is_new_doubt(message: Message, judgement: Judgement) -> bool:
    """Whether to log a doubt: only once, and not if the message ends at the same time."""
    return message.doubt_since is None and all(name != "messageFailed" for name, _ in judgement.events)


def _tell(message: Message, name: str, data: dict[str, Any]) -> None:
    """Log that a message was not sent, or that its outcome is unknown."""
    about = {"account": message.account, "queueId": message.queue_id}
    made, error = data["attemptsMade"], data["error"].removeprefix("Error: ")
    if name == "messageFailed":
        count = len(data["envelope"]["to"])
        whom = "1 recipient does" if count == 1 else f"{count} recipients do"
        doubt = "; it is not known whether it arrived" if data.get("inDoubt") else ""
        by = f"the gateway {message.gateway}" if message.gateway is not None else "the account"
        if made:
            after = f"after {counted(made, 'attempt')}"
        else:
            after = "unsent" if data["errorCode"] == SUPPRESSED else f"since {by} could not send in all its time"
        log.warning("given up %s: %s not get it%s. The error: %s", after, whom, doubt, error, extra=about)
        return
    if data["searchingSentFolder"]:
        follows = "The engine searches the Sent folder for it"
    elif data["nextAttempt"] and data["onDoubt"] == "resend":
        # Of a message that is held or given up, the next attempt is for those who wait otherwise.
        follows = f"It is sent again at {data['nextAttempt']} (onDoubt: {data['onDoubt']}), and may then arrive twice"
    elif data["onDoubt"] == "hold":
        follows = f"It waits for a decision: PUT /v1/outbox/{message.queue_id}"
    else:
        follows = "It is given up (onDoubt: fail)"
    log.warning(
        "in doubt: the connection broke after the message was sent, so it may or may not have arrived. %s. The error: "
        "%s",
        follows,
        error,
        extra=about,
    )
