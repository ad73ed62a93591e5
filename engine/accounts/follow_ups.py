"""Does what must happen in the folders once a message is sent: removes its draft, marks the message that it answers.

That it is due is written in the commit that ends the message as sent, so it is never forgotten; a failed attempt is
repeated by a schedule, at the end of which it is given up: the message itself is sent, and stays so.

* A draft is removed where a copy of the message was filed, by the engine or by the provider; else it is moved to the
  trash, and stays where there is none, since it is all that is left of the message.
* A message that was replied to gets `\\Answered`, one that was forwarded `$Forwarded`.

A message that is no longer there under its UID was removed by another client, or by the previous attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from engine.accounts.message_ids import Place
from engine.accounts.message_lookup import Locator
from engine.accounts.requested_changes import TRASH, Changer, Marks
from engine.errors import NetworkError, Problem, ProtocolError
from engine.imap.session import CommandRefused, ImapSession
from engine.store import follow_ups
from engine.store.follow_ups import FollowUp
from engine.store.writer import Store
from engine.world import World

log = logging.getLogger("engine.followups")

LOOK_SECONDS = 540.0
"""After so long the clock is asked again whether something is due: it may have been set."""
_FLAGS = {"answered": "\\Answered", "forwarded": "$Forwarded"}


class FollowUps:
    """What follows from the sent mail of one account."""

    def __init__(self, account: str, store: Store, schedule: Sequence[float], world: World) -> None:
        self._account = account
        self._store = store
        self._schedule = schedule
        self._world = world
        self._look = trio.Event()

    def look(self) -> None:
        """A message has just been sent, or its copy filed: something may be due."""
        self._look.set()

    async def fall_due(self) -> None:
        """Return once something is due. Cancelled: nothing has changed."""
        while True:
            self._look = trio.Event()
            first = follow_ups.first(self._store.reader, self._account)
            wait = LOOK_SECONDS if first is None else min(first.next_at - self._world.now(), LOOK_SECONDS)
            if first is not None and wait <= 0:
                return
            with trio.move_on_after(wait):
                await self._look.wait()

    async def do_next(
        self, session: ImapSession, locator: Locator, changer: Changer, *, files_sent: bool
    ) -> str | None:
        """Do what is due first; return the folder into which a draft was moved, if one was.

        `files_sent`: the provider files sent mail itself. Raises what a broken session raises, after setting the next
        attempt.
        """
        due = follow_ups.first(self._store.reader, self._account)
        if due is None or due.next_at > self._world.now():
            return None
        moved = None
        try:
            if due.what == "draft":
                copied = due.copied or (files_sent and not due.by_gateway)
                moved = await self._remove(due, session, locator, changer, copied=copied)
            else:
                await self._mark(due, session, locator, changer)
        except (CommandRefused, NetworkError, ProtocolError, Problem) as error:
            await self._failed(due, str(error))
            if isinstance(error, (NetworkError, ProtocolError)):
                raise
            return None
        await self._store.commit(lambda tx: follow_ups.remove(tx, due.message, due.what))
        return moved

    async def _mark(self, due: FollowUp, session: ImapSession, locator: Locator, changer: Changer) -> None:
        place, flag = Place(due.mailbox, due.uid), _FLAGS[due.what]
        try:
            row, one = await locator.fetch(session, place, ("UID", "FLAGS", "RFC822.SIZE"), writable=True)
            if flag.lower() not in {each.lower() for each in one.flags or ()}:
                await changer.mark(row, [due.uid], Marks(add=[flag]), Marks())
        except Problem as error:
            if error.status == 503:
                raise
            # It is gone, the folder cannot be changed, or the server does not take the flag.
            log.debug("a message is not marked as %s: %s", due.what, error)

    async def _remove(
        self, due: FollowUp, session: ImapSession, locator: Locator, changer: Changer, *, copied: bool
    ) -> str | None:
        place = Place(due.mailbox, due.uid)
        try:
            row, _ = await locator.fetch(session, place, ("UID", "FLAGS", "RFC822.SIZE"), writable=True)
        except Problem as error:
            if error.status == 404:
                return None
            raise
        if copied:
            await changer.remove(row, [due.uid])
            return None
        try:
            trash = await locator.target(session, TRASH)
        except Problem as error:
            if error.status == 404:
                log.info("a sent draft stays in %s: the account has no trash, and there is no other copy", row.path)
                return None
            raise
        await changer.move(row, [due.uid], trash)
        return trash.path

    async def _failed(self, due: FollowUp, reason: str) -> None:
        if due.attempts < len(self._schedule):
            log.debug("not done yet (%s): %s", due.what, reason)
            at = self._world.now() + self._schedule[due.attempts]
            await self._store.commit(lambda tx: follow_ups.postpone(tx, due.message, due.what, at))
            return
        if due.what == "draft":
            log.warning("sent, but the draft could not be removed from its folder: %s", reason)
        else:
            log.warning("sent, but the other message could not be marked as %s: %s", due.what, reason)
        await self._store.commit(lambda tx: follow_ups.remove(tx, due.message, due.what))
