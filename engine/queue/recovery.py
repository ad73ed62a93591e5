"""At a start, the queue is rebuilt and attempts that the last run did not finish are resolved.

An attempt without `dot_at` certainly sent nothing: it is taken back and does not count. With `dot_at` the message may
have arrived: it is in doubt, an event says so, and its `onDoubt` decides. A message whose attempts keep ending with the
process may be the cause of that: from `PATIENT` interruptions in a row it waits, so that the others get their turn, and
at `QUARANTINE` it is held until it is released.

On a restored backup everything unsent is held (`queue/restored_backup.py`), in the same commit.
"""

from __future__ import annotations

import logging

import msgspec

from engine.errors import NetworkKind
from engine.model.message import LaneId, Message, Recipient
from engine.model.message_states import State, message_state
from engine.queue import doubt, restored_backup
from engine.queue.outcome import judge
from engine.queue.recorder import Recorder
from engine.queue.schedule import Schedule
from engine.smtp.verdict import Kind, Stage, Verdict
from engine.store import attempts, held_messages, messages
from engine.store.writer import Store, Tx

log = logging.getLogger("engine.recovery")

PATIENT, QUARANTINE = 3, 10
WAIT = 10.0
"""Seconds a message waits after the third interrupted attempt in a row; doubled after each further one."""

INTERRUPTED = Verdict(
    Kind.DOUBT,
    Stage.DOT,
    None,
    None,
    "the engine stopped after the final dot and before the server's reply: the message may have arrived",
    NetworkKind.CLOSED,
    "ECONNECTION",
)


async def recover(store: Store, recorder: Recorder, schedule: Schedule, now: float) -> int:
    """Resolve interrupted attempts, fill the schedule and return how many messages wait.

    `now` is in seconds since 1970.
    """

    def change(tx: Tx) -> None:
        is_restored = restored_backup.is_restored(tx)
        if is_restored:
            held_messages.hold_doubts(tx, now)
        _put_right(tx, recorder, None, now)
        if is_restored:
            restored_backup.hold(tx, now)

    await store.commit(change)
    count = 0
    for each in messages.waiting(store.reader):
        schedule.add(each.id, each.next_at, account=each.account, gateway=each.gateway, scheduled=each.first)
        count += 1
    return count


async def recover_lane(lane: LaneId, store: Store, recorder: Recorder, schedule: Schedule, now: float) -> None:
    """The same for one lane that has crashed; also puts back what it had taken off its agenda."""
    await store.commit(lambda tx: _put_right(tx, recorder, lane, now))
    agenda = schedule.of_lane(lane)
    agenda.clear()
    for each in messages.waiting(store.reader, lane):
        agenda.add(each.id, each.next_at, each.account, scheduled=each.first)


def _put_right(tx: Tx, recorder: Recorder, lane: LaneId | None, now: float) -> None:
    for message in messages.interrupted(tx, lane):
        recipients = messages.recipients(tx, message.id)
        if message.dot_at is not None:
            _doubt(tx, recorder, message, recipients, now)
        else:
            _take_back(tx, recorder, message, recipients, now)


def _take_back(tx: Tx, recorder: Recorder, message: Message, recipients: list[Recipient], now: float) -> None:
    interruptions = message.interruptions + 1
    if interruptions >= QUARANTINE:
        log.warning(
            "held: the engine has ended %d times while it sent this message. Decide: PUT or DELETE /v1/outbox/%s",
            interruptions,
            message.queue_id,
            extra={"account": message.account, "queueId": message.queue_id},
        )
        attempts.undo(tx, message.id, message.attempts_made)
        messages.undo_attempt(tx, message.id, State.HELD, None, interruptions)
        recorder.note(tx, message, "held", reason="interrupted")
        for each in recipients:
            if each.state in (State.QUEUED, State.DEFERRED):
                messages.set_recipient(
                    tx, message.id, Recipient(each.position, each.address, State.HELD, each.code, each.response)
                )
        return
    at = now + WAIT * 2 ** (interruptions - PATIENT) if interruptions >= PATIENT else now
    states = [each.state for each in recipients]
    due = recorder.due_again(tx, message, states, at)
    attempts.undo(tx, message.id, message.attempts_made)
    messages.undo_attempt(tx, message.id, message_state(states), due, interruptions)


def _doubt(tx: Tx, recorder: Recorder, message: Message, recipients: list[Recipient], now: float) -> None:
    evidence = recorder.evidence(tx, message)
    verdicts = dict.fromkeys(doubt.addresses_due(message, recipients, now=now, evidence=evidence), INTERRUPTED)
    judgement = judge(message, recipients, verdicts, INTERRUPTED, now=now, retry_at=now, evidence=evidence)
    told = recorder.end_attempt(tx, message, judgement, now)
    report = msgspec.json.encode({"outcome": "doubt", "interrupted": True, "events": told})
    attempts.end(tx, message.id, message.attempts_made, now, report)
