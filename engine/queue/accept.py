"""Taking messages into the queue: one commit, then the answer.

The messages of a request, their recipients and their bodies become durable together or not at all; a body too large for
the journal, and the end of one that several messages share, is synced to the spool before the commit that names it.
Once they are committed, each message is on its lane's agenda, even if the client has disconnected. The idempotency key
is part of that commit, so the second of two requests with the same key finds the first one's messages, however close
together they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import trio

from engine.errors import Problem, StorageFailed
from engine.mail.compose import Composed
from engine.model.message import NOT_SENT, Message
from engine.model.message_states import State
from engine.queue.idempotency import repeated
from engine.queue.schedule import Schedule
from engine.store import accounts, bodies, follow_ups, idempotency_keys, messages
from engine.store.bodies import MessageBody, Spool
from engine.store.idempotency_keys import Kept
from engine.store.waiting_changes import Slices
from engine.store.writer import Store, Tx

SLICE = 50
"""Messages that are inserted at a time: about two milliseconds."""


class After(NamedTuple):
    """What is to happen to a message in a folder after this one is sent; `mailbox` is the folder's number."""

    what: follow_ups.What
    mailbox: int
    uid: int


class Suppressed(NamedTuple):
    """A recipient who gets no mail, and why; `event` is the number of the event that told it, None if a request did.

    `is_sent`: the caller wants this message sent anyway.
    """

    address: str
    reason: str
    event: int | None
    is_sent: bool


class Incoming(NamedTuple):
    """A message to take: who gets it, what is sent, and what is to happen afterwards.

    `spooled` names a file in the spool that already holds the body, which `content` then lacks; taking the message
    takes over the file, and removes it if the message is not queued. Those in `suppressed` are not in `recipients`,
    unless the message is sent to them anyway.
    """

    message: Message
    recipients: tuple[str, ...]
    content: Composed
    after: tuple[After, ...] = ()
    spooled: str | None = None
    suppressed: tuple[Suppressed, ...] = ()


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
        self.accepted = 0
        """Messages taken."""

    async def accept(
        self, taken: Sequence[Incoming], *, key: str | None = None, kept: Kept | None = None
    ) -> bytes | None:
        """Make messages of one account durable in one commit and have each sent when its `next_at` comes.

        `key` is an idempotency key, `kept` what to store under it. If the same request has used the key before, this
        queues nothing and returns that request's answer (JSON); otherwise it returns None. The key lives as long as the
        record of the message that is due last. Messages with the same body (the same object) share its octets on disk.
        Raises `StorageFull`, `StorageFailed`, or `Problem`: 404 if the account has just been removed, 409 if another
        request has used the key; then nothing is queued. Cancelled: all messages are queued or none is.
        """
        account = taken[0].message.account
        spooled = [each.spooled for each in taken]

        def change(tx: Tx) -> Slices[bytes | None]:
            if key is not None and kept is not None and (before := idempotency_keys.find(tx, account, key)) is not None:
                return repeated(before, kept.fingerprint)
            if not accounts.exists(tx, account):
                raise Problem(404, "Account record was not found for requested ID")
            queued: list[tuple[int, Message]] = []
            for at in range(0, len(taken), SLICE):
                if at:
                    yield
                queued += _insert(tx, taken[at : at + SLICE], spooled[at : at + SLICE])
            if key is not None and kept is not None:
                last, _ = max(queued, key=lambda each: each[1].send_at)
                idempotency_keys.keep(tx, account, key, last, kept)
            tx.after_commit(lambda: self._add(queued))
            return None

        is_queued = False
        try:
            await self._spool_large(taken, spooled)
            # The commit may go ahead when this is cancelled, or fails, so the bodies must stay. If it failed, the next
            # start removes them.
            is_queued = True
            try:
                answer = await self._store.admit_slices(change)
            except (trio.Cancelled, StorageFailed):
                raise
            except BaseException:
                is_queued = False
                raise
            is_queued = answer is None
        finally:
            if not is_queued:
                for name in filter(None, spooled):
                    self._spool.remove(name)
        return answer

    async def _spool_large(self, taken: Sequence[Incoming], spooled: list[str | None]) -> None:
        """Write the large bodies and the shared ends to the spool; note the name of each, a queue id, in `spooled`."""
        files: dict[int, tuple[bytes, list[int]]] = {}
        for number, each in enumerate(taken):
            octets = each.content.tail or each.content.body
            if spooled[number] is None and (each.content.tail or len(octets) > self._spool_above):
                files.setdefault(id(octets), (octets, []))[1].append(number)
        for octets, (first, *others) in files.values():
            name = taken[first].message.queue_id
            await self._spool.write(name, octets)
            spooled[first] = name
            if others:
                names = [taken[each].message.queue_id for each in others]
                await self._spool.share(name, names)
                for number, other in zip(others, names, strict=True):
                    spooled[number] = other

    def _add(self, queued: Iterable[tuple[int, Message]]) -> None:
        for row, message in queued:
            self.accepted += 1
            due = message.next_at or message.send_at
            self._schedule.add(
                row, due, account=message.account, gateway=message.gateway, scheduled=due > message.created
            )


def _insert(tx: Tx, taken: Sequence[Incoming], spooled: Sequence[str | None]) -> list[tuple[int, Message]]:
    rows = messages.insert(tx, [(each.message, each.recipients) for each in taken], State.QUEUED)
    bodies.insert(tx, zip(rows, map(_body, taken, spooled), strict=True))
    for row, each in zip(rows, taken, strict=True):
        if each.suppressed:
            left_out = [one for one in each.suppressed if not one.is_sent]
            said = [(one.address, f"{NOT_SENT} suppressed ({one.reason})") for one in left_out]
            messages.add_failed(tx, row, len(each.recipients), said)
        for after in each.after:
            if not follow_ups.insert(tx, row, each.message.account, *after) and after.what == "draft":
                raise Problem(409, "The draft has been submitted already, and is not sent yet", code="DraftSubmitted")
    return [(row, each.message) for row, each in zip(rows, taken, strict=True)]


def _body(incoming: Incoming, spooled: str | None) -> MessageBody:
    content = incoming.content
    in_spool = spooled is not None and not content.tail
    return MessageBody(content.header, content.bcc_header, None if in_spool else content.body, spooled)
