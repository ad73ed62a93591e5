"""Removing submitted drafts once their message is sent.

That it is due is written in the commit that ends the message as sent, so it is never forgotten; a failed attempt is
repeated by a schedule. Where a copy of the message was filed, by the engine or by the provider, the draft is removed;
else it is moved to the trash, and stays where there is none, since it is all that is left of the message. A draft that
is not there any more, under the same UID, has been taken care of by somebody else, or by the attempt before.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from engine.accounts.changing import TRASH, Changer
from engine.accounts.located import Locator
from engine.accounts.message_ids import Place
from engine.errors import NetworkError, Problem, ProtocolError
from engine.imap.session import CommandRefused, ImapSession
from engine.store import sent_drafts
from engine.store.sent_drafts import SentDraft
from engine.store.writer import Store
from engine.world import World

log = logging.getLogger("engine.drafts")

LOOK_SECONDS = 540.0
"""After so long the clock is asked again whether a draft is due: it may have been set."""


class SentDrafts:
    """The drafts of one account that are to go."""

    def __init__(self, account: str, store: Store, schedule: Sequence[float], world: World) -> None:
        self._account = account
        self._store = store
        self._schedule = schedule
        self._world = world
        self._look = trio.Event()

    def look(self) -> None:
        """A message has just been sent, or its copy filed: a draft may be due."""
        self._look.set()

    async def fall_due(self) -> None:
        """Return once a draft is due. Cancelled: nothing has changed."""
        while True:
            self._look = trio.Event()
            first = sent_drafts.first(self._store.reader, self._account)
            wait = LOOK_SECONDS if first is None else min(first.next_at - self._world.now(), LOOK_SECONDS)
            if first is not None and wait <= 0:
                return
            with trio.move_on_after(wait):
                await self._look.wait()

    async def remove_next(
        self, session: ImapSession, locator: Locator, changer: Changer, *, files_sent: bool
    ) -> str | None:
        """Have the draft go that is due first; the folder it was moved to, if it was.

        `files_sent`: the provider files sent mail itself. Raises what a broken session raises; the draft is then put
        off.
        """
        due = sent_drafts.first(self._store.reader, self._account)
        if due is None or due.next_at > self._world.now():
            return None
        try:
            moved = await self._remove(
                due, session, locator, changer, copied=due.copied or (files_sent and not due.by_gateway)
            )
        except (CommandRefused, NetworkError, ProtocolError, Problem) as error:
            await self._failed(due, str(error))
            if isinstance(error, (NetworkError, ProtocolError)):
                raise
            return None
        await self._store.commit(lambda tx: sent_drafts.remove(tx, due.message))
        return moved

    async def _remove(
        self, due: SentDraft, session: ImapSession, locator: Locator, changer: Changer, *, copied: bool
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

    async def _failed(self, due: SentDraft, reason: str) -> None:
        if due.attempts < len(self._schedule):
            log.debug("a sent draft is still in its folder: %s", reason)
            at = self._world.now() + self._schedule[due.attempts]
            await self._store.commit(lambda tx: sent_drafts.postpone(tx, due.message, at))
            return
        log.warning("sent, but the draft could not be removed from its folder: %s", reason)
        await self._store.commit(lambda tx: sent_drafts.remove(tx, due.message))
