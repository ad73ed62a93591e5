"""Files sent messages in the account's Sent folder.

1. The commit that ends a message as sent also requests its copy, so none is forgotten. If the provider files sent mail
   itself, no copy is made.
2. One task at a time files copies, over any session of the account (`make_next`). The copy contains the Bcc field,
   which is never sent over SMTP.
3. A copy that may already have been filed, by an attempt whose result was lost, is searched for first.
4. A failed attempt is repeated by a schedule; at its end the event `messageCopyFailed` says so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import trio

from engine.errors import NetworkError, ProtocolError, StorageUnavailable
from engine.events.journal import Journal
from engine.imap.commands import Chunk, Later
from engine.imap.session import CommandRefused, ImapSession
from engine.store import bodies, follow_ups, messages, sent_copies, timeline
from engine.store.bodies import MessageBody, Spool
from engine.store.sent_copies import SentCopy
from engine.store.timeline import About
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.sentcopy")

LOOK_SECONDS = 540.0
"""Seconds after which to check the wall clock again for due copies, since it may have been set."""


class SentCopies:
    """Files the copies that one account still owes, over the session it is given."""

    def __init__(
        self, account: str, store: Store, spool: Spool, journal: Journal, schedule: Sequence[float], world: World
    ) -> None:
        self._account = account
        self._store = store
        self._spool = spool
        self._journal = journal
        self._schedule = schedule
        self._world = world
        self._look = trio.Event()
        self._begun = set(sent_copies.of_account(store.reader, account))
        """Messages whose copy may already have been filed; this includes all copies owed at the start."""

    def look(self) -> None:
        """Check for due copies: a message has just been sent."""
        self._look.set()

    async def fall_due(self, *, files_sent: bool) -> bool:
        """Wait until a copy is due; return whether it is large. Cancelled: nothing has changed.

        `files_sent`: the provider files sent mail itself, so copies are made only of mail that went through a gateway.
        """
        while True:
            self._look = trio.Event()
            first = sent_copies.first(self._store.reader, self._account)
            wait = LOOK_SECONDS if first is None else min(first.next_at - self._world.now(), LOOK_SECONDS)
            if first is None or wait > 0:
                with trio.move_on_after(wait):
                    await self._look.wait()
                continue
            body = bodies.get(self._store.reader, first.message)
            if body is not None and (first.path or first.by_gateway or not files_sent):
                return body.spool is not None
            await self._store.commit(partial(self._done, first))

    async def make_next(self, session: ImapSession, folder: str | None) -> str | None:
        """File the earliest due copy; return its folder, or None if none is due or it failed.

        `folder` is the account's Sent folder, None if it has none. May select a folder. Raises what a broken session
        raises, after scheduling the next attempt.
        """
        due = sent_copies.first(self._store.reader, self._account)
        if due is None or due.next_at > self._world.now():
            return None
        body = bodies.get(self._store.reader, due.message)
        if body is None:
            await self._store.commit(partial(self._done, due))
            return None
        path = due.path or folder
        try:
            if path is None:
                raise CommandRefused("the account has no Sent folder", None)
            if due.message not in self._begun or not await self._is_there(session, path, due.message):
                self._begun.add(due.message)
                await session.append(path, self._octets(body), flags=("\\Seen",), date=None)
        except (CommandRefused, NetworkError, ProtocolError, StorageUnavailable, ValueError) as error:
            await self._failed(due, path, str(error))
            if isinstance(error, (NetworkError, ProtocolError)):
                raise
            return None
        await self._store.commit(partial(self._filed, due, path))
        return path

    async def _is_there(self, session: ImapSession, path: str, message: int) -> bool:
        record = messages.get(self._store.reader, message)
        try:
            await session.enter(path)
            return record is not None and bool(await session.search("HEADER Message-ID", record.message_id.encode()))
        except CommandRefused:
            return False  # there is no such folder, or it cannot be searched; filing the copy will show

    async def _failed(self, due: SentCopy, path: str | None, reason: str) -> None:
        attempts = due.attempts + 1
        sent = messages.get(self._store.reader, due.message)
        about = {"queueId": sent.queue_id if sent is not None else None}
        if attempts <= len(self._schedule):
            log.debug("no copy in %s yet: %s", path, reason, extra=about)
        else:
            log.warning("sent, but no copy could be filed in the folder %s: %s", path, reason, extra=about)

        def change(tx: Tx) -> None:
            if attempts <= len(self._schedule):
                sent_copies.postpone(tx, due.message, self._world.now() + self._schedule[attempts - 1])
                return
            message = messages.get(tx, due.message)
            if message is not None:
                data = {
                    "messageId": message.message_id,
                    "queueId": message.queue_id,
                    "path": path,
                    "error": reason,
                    "attemptsMade": attempts,
                }
                self._journal.append(tx, "messageCopyFailed", self._account, data, about=About(message.id))
            self._done(due, tx)

        await self._store.commit(change)

    def _filed(self, due: SentCopy, path: str, tx: Tx) -> None:
        timeline.note(tx, About(due.message, None, {"path": path}), "copyFiled", self._world.now())
        follow_ups.copied(tx, due.message)
        self._done(due, tx)

    def _done(self, due: SentCopy, tx: Tx) -> None:
        sent_copies.remove(tx, due.message)
        self._begun.discard(due.message)
        bodies.drop(tx, due.message, self._spool)

    def _octets(self, body: MessageBody) -> list[Chunk]:
        chunks: list[Chunk] = [body.header + body.bcc_header + b"\r\n"]
        if body.content is not None:
            chunks.append(body.content)
        if body.spool is not None:
            chunks.append(Later(partial(self._spool.blocks, body.spool), self._spool.size(body.spool)))
        return chunks
