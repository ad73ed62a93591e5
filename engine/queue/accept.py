"""Taking a message into the queue: one commit, then the answer.

The message, its recipients and its body become durable together or not at all; a body too large for the journal is
synced to the spool before the commit that names it. Once committed, the message is on its account's agenda, even if the
client has disconnected. The idempotency key is part of that commit, so the second of two requests with the same key
finds the first one's message, however close together they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import trio

from engine.errors import Problem, StorageFailed
from engine.mail.compose import Composed
from engine.model.message import Message
from engine.model.states import State
from engine.queue.idempotency import repeated
from engine.queue.schedule import Schedule
from engine.store import accounts, bodies, follow_ups, idempotency_keys, messages
from engine.store.bodies import MessageBody, Spool
from engine.store.idempotency_keys import Kept
from engine.store.writer import Store, Tx
from engine.world import World


def new_queue_id(send_at: float, world: World) -> str:
    """19 hex digits that sort by the time of sending: 11 for the milliseconds, then 8 random ones.

    Beyond the year 2527 the first digit is dropped, as EmailEngine does.
    """
    return f"{int(send_at * 1000):011x}"[-11:] + world.token_bytes(4).hex()


class After(NamedTuple):
    """What is to happen to a message in a folder after this one is sent; `mailbox` is the folder's number."""

    what: follow_ups.What
    mailbox: int
    uid: int


class Incoming(NamedTuple):
    """A message to take: who gets it, what is sent, and what is to happen afterwards.

    `spooled` is the file in the spool that has the body already, which then is
    not in `content`; taking the message takes the file, and removes it if the message is not queued.
    """

    message: Message
    recipients: tuple[str, ...]
    content: Composed
    after: tuple[After, ...] = ()
    spooled: str | None = None


class Intake:
    """Takes messages into the queue. A body of more than `spool_above` octets goes into the spool.

    `expires_at` returns when a message is given up unsent, from the time it is due and its number of attempts.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        spool_above: int,
        schedule: Schedule,
        expires_at: Callable[[float, int], float],
    ) -> None:
        self._store = store
        self._spool = spool
        self._spool_above = spool_above
        self._schedule = schedule
        self.expires_at = expires_at

    async def accept(self, incoming: Incoming, *, key: str | None = None, kept: Kept | None = None) -> bytes | None:
        """Make the message durable and have it sent when its `next_at` comes.

        `key` is an idempotency key, `kept` what to store under it. If the same request has used the key before, this
        queues nothing and returns that request's answer (JSON); otherwise it returns None.
        Raises `StorageFull`, `StorageFailed`, or `Problem`: 404 if the account has just been removed, 409 if another
        request has used the key; then nothing is queued. Cancelled: the message is queued whole or not at all.
        """
        message, recipients, content, afterwards, spooled = incoming
        if spooled is None and len(content.body) > self._spool_above:
            spooled = message.queue_id
            await self._spool.write(spooled, content.body)
        body = MessageBody(content.header, content.bcc_header, None if spooled else content.body, spooled)

        def change(tx: Tx) -> bytes | None:
            if (
                key is not None
                and kept is not None
                and (before := idempotency_keys.find(tx, message.account, key)) is not None
            ):
                return repeated(before, kept.fingerprint)
            if not accounts.exists(tx, message.account):
                raise Problem(404, "Account record was not found for requested ID")
            row = messages.insert(tx, message, recipients, State.QUEUED)
            bodies.insert(tx, row, body)
            for each in afterwards:
                if not follow_ups.insert(tx, row, message.account, *each) and each.what == "draft":
                    said = "The draft has been submitted already, and is not sent yet"
                    raise Problem(409, said, code="DraftSubmitted")
            if key is not None and kept is not None:
                idempotency_keys.keep(tx, message.account, key, row, kept)
            due = message.next_at or message.send_at
            scheduled = due > message.created
            tx.after_commit(
                lambda: self._schedule.add(
                    row, due, account=message.account, gateway=message.gateway, scheduled=scheduled
                )
            )
            return None

        queued = False
        try:
            answer = await self._store.admit(change)
            queued = answer is None
        except (trio.Cancelled, StorageFailed):
            # The commit goes ahead, or may already have, so its body must stay. If it failed, the next start removes
            # the body.
            queued = True
            raise
        finally:
            if spooled is not None and not queued:
                self._spool.remove(spooled)
        return answer
