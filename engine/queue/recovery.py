"""What a start finds: the queue is rebuilt, and tries the last run did not finish are put right.

A try without `dot_at` provably sent nothing: it is taken back and does not count. A try with it is in doubt: the
message may have arrived. It is said so in an event and tried again under the same Message-ID.

On a restored backup everything unsent is then held (`queue/restored.py`), in the same commit.
"""

from __future__ import annotations

from typing import Any

from engine.events.journal import Journal
from engine.isotime import iso
from engine.queue import restored
from engine.queue.lifecycle import ENDED, State
from engine.queue.schedule import Schedule
from engine.store import bodies, held, messages
from engine.store.bodies import Spool
from engine.store.messages import Recipient
from engine.store.writer import Store, Tx

INTERRUPTED = "the engine stopped after the final dot and before the server's reply: the message may have arrived"


async def recover(store: Store, spool: Spool, journal: Journal, schedule: Schedule, now: float) -> int:
    """Put interrupted tries right and fill the schedule; how many messages wait. Times in seconds since 1970."""

    def change(tx: Tx) -> None:
        is_restored = restored.is_restored(tx)
        if is_restored:
            held.hold_doubts(tx, now)
        for message, dot in messages.interrupted(tx):
            if dot:
                _doubt(tx, spool, journal, message, now)
            else:
                messages.undo_try(tx, message, State.QUEUED, now)
        if is_restored:
            restored.hold(tx, now)

    await store.commit(change)
    waiting = messages.open_messages(store.reader)
    for message, account, due in waiting:
        schedule.of(account).add(message, due)
    return len(waiting)


def _doubt(tx: Tx, spool: Spool, journal: Journal, message: int, now: float) -> None:
    row = messages.get(tx, message)
    assert row is not None
    spent = row.attempts_made >= row.attempts_max
    state = State.FAILED if spent else State.IN_DOUBT
    unknown = [each for each in messages.recipients(tx, message) if State(each.state) not in ENDED]
    for each in unknown:
        messages.set_recipient(tx, message, Recipient(each.position, each.address, state, None, INTERRUPTED))
    error = {"message": INTERRUPTED, "code": "ECONNECTION"}
    messages.end_try(
        tx, message, state=state, next_at=None if spent else now, error=error, now=now, report=b'{"interrupted":true}'
    )
    data: dict[str, Any] = {
        "queueId": row.queue_id,
        "envelope": {"from": row.sender, "to": [each.address for each in unknown]},
        "messageId": row.message_id,
        "error": INTERRUPTED,
        "errorCode": "ECONNECTION",
        "smtpCommand": "DATA",
        "networkRouting": None,
        "job": {
            "id": row.queue_id,
            "attemptsMade": row.attempts_made,
            "attempts": row.attempts_max,
            "nextAttempt": False if spent else iso(now),
        },
        "rejected": [],
        "inDoubt": True,
    }
    journal.append(tx, "messageDeliveryError", row.account, data)
    if spent:
        bodies.drop(tx, message, spool)
        failed = {name: data[name] for name in ("messageId", "queueId", "envelope", "errorCode", "networkRouting")}
        journal.append(
            tx,
            "messageFailed",
            row.account,
            {
                **failed,
                "error": f"Error: {INTERRUPTED}",
                "attemptsMade": row.attempts_made,
                "rejected": [],
                "inDoubt": True,
            },
        )
