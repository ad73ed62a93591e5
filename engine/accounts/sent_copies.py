"""Filing sent messages into the account's Sent folder.

A copy is asked for in the commit that ends the message as sent, so it is never forgotten. It is made over the account's
IMAP session; a failed attempt is repeated by a schedule, and when that is spent the event `messageCopyFailed` says so.
One that was begun before, and may have been filed with nothing heard of it, is looked for first. The copy carries the
Bcc field that never went over SMTP. Where the provider files sent mail itself, none is made.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from engine.errors import NetworkError, StorageUnavailable
from engine.events.journal import Journal
from engine.imap.session import CommandRefused, ImapSession
from engine.store import bodies, messages, sent_copies
from engine.store.bodies import MessageBody, Spool
from engine.store.sent_copies import SentCopy
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.sentcopy")


class SentCopies:
    """Makes the copies one account still owes, over whatever session it is given."""

    def __init__(
        self, account: str, store: Store, spool: Spool, journal: Journal, schedule: Sequence[float], world: World
    ) -> None:
        self._account = account
        self._store = store
        self._spool = spool
        self._journal = journal
        self._schedule = schedule
        self._world = world
        self._begun = set(sent_copies.of_account(store.reader, account))
        """Messages whose copy may be there already; of those that were owed at the start nobody knows."""

    def seconds_to_next(self) -> float | None:
        """Seconds until a copy is due (0: now); None when none is owed."""
        first = sent_copies.first(self._store.reader, self._account)
        return None if first is None else max(0.0, first.next_at - self._world.now())

    async def make_due(self, session: ImapSession, folder: str | None) -> set[str]:
        """Make every copy that is due, and return the folders that got one.

        `folder` is the account's Sent folder, None when it has none.

        Raises what a broken session raises; the copy in hand is then put off. It may select a folder.
        """
        filed: set[str] = set()
        while (due := sent_copies.first(self._store.reader, self._account)) is not None:
            if due.next_at > self._world.now():
                break
            body = bodies.get(self._store.reader, due.message)
            if body is None or (session.files_sent_itself and not due.path):
                await self._store.commit(partial(self._done, due))
                continue
            path = due.path or folder
            try:
                if path is None:
                    raise CommandRefused("the account has no Sent folder", None)
                if due.message not in self._begun or not await self._is_there(session, path, due.message):
                    self._begun.add(due.message)
                    await session.append(path, self._octets(body), flags=("\\Seen",), date=None)
            except (CommandRefused, NetworkError, StorageUnavailable, ValueError) as error:
                await self._failed(due, path, str(error))
                if isinstance(error, NetworkError):
                    raise
            else:
                filed.add(path)
                await self._store.commit(partial(self._done, due))
        return filed

    async def _is_there(self, session: ImapSession, path: str, message: int) -> bool:
        record = messages.get(self._store.reader, message)
        try:
            await session.select(path, read_only=True)
            return record is not None and bool(await session.search("HEADER Message-ID", record.message_id.encode()))
        except CommandRefused:
            return False  # no such folder yet, or none to search in: filing it tells

    async def _failed(self, due: SentCopy, path: str | None, reason: str) -> None:
        attempts = due.attempts + 1
        sent = messages.get(self._store.reader, due.message)
        about = {"queueId": sent.queue_id if sent is not None else None}
        if attempts <= len(self._schedule):
            log.debug("no copy in %s yet: %s", path, reason, extra=about)
        else:
            log.warning("sent, but without a copy in the folder %s: %s", path, reason, extra=about)

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
                self._journal.append(tx, "messageCopyFailed", self._account, data)
            self._done(due, tx)

        await self._store.commit(change)

    def _done(self, due: SentCopy, tx: Tx) -> None:
        sent_copies.remove(tx, due.message)
        self._begun.discard(due.message)
        bodies.drop(tx, due.message, self._spool)

    def _octets(self, body: MessageBody) -> list[bytes]:
        head = body.header + body.bcc_header + b"\r\n"
        if body.spool is not None:
            return [head, *self._spool.blocks(body.spool)]
        return [head, body.content or b""]
