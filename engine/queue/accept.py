"""Taking a message into the queue: one commit, then the answer.

The message, its recipients and its body become durable together or not at all; a body too large for the journal is
synced to the spool before the commit that names it. Once committed the message is on its account's agenda, whoever
still waits for the answer.
"""

from __future__ import annotations

from engine.errors import Problem
from engine.queue.lifecycle import State
from engine.queue.schedule import Schedule
from engine.store import accounts, bodies, messages
from engine.store.bodies import Body, Spool
from engine.store.messages import Message
from engine.store.writer import Store, Tx
from engine.world import World

QUEUE_ID_DIGITS = 19


def new_queue_id(send_at: float, world: World) -> str:
    """19 hex digits that sort by the time of sending: 11 of milliseconds, 8 random ones."""
    return f"{int(send_at * 1000):011x}{world.token_bytes(4).hex()}"


async def accept(
    message: Message,
    recipients: tuple[str, ...],
    header: bytes,
    bcc_header: bytes,
    content: bytes,
    *,
    store: Store,
    spool: Spool,
    spool_above: int,
    schedule: Schedule,
) -> None:
    """Make the message durable and have it sent at `message.next_at`.

    Raises `StorageFull`, `StorageFailed`, or `Problem` 404 when the account has just been removed; then nothing is
    queued. Cancelled: it may be queued or not, never half.
    """
    spooled = message.queue_id if len(content) > spool_above else None
    if spooled is not None:
        await spool.write(spooled, content)
    body = Body(header, bcc_header, None if spooled else content, spooled)

    def change(tx: Tx) -> None:
        if not accounts.exists(tx, message.account):
            raise Problem(404, "Account record was not found for requested ID")
        row = messages.insert(tx, message, recipients, State.QUEUED)
        bodies.insert(tx, row, body)
        due = message.next_at or message.send_at
        tx.after_commit(lambda: schedule.of(message.account).add(row, due))

    await store.admit(change)
