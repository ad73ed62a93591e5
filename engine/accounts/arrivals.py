"""New messages: fetched, described, and announced in the commit that moves the mailbox's position past them.

1. `take` learns the UIDs of the new messages and fetches them in batches of at most `BATCH` (`_take_some`).
2. They are announced oldest first, while the rest of the answer is still arriving (`_describe`). Messages older than
   the account's `notifyFrom` are noted without an event.
3. A message that the server cannot describe, or of which a part cannot be read or put into an event, is announced with
   what is known (`_describe_one`). One that the server counted but never shows becomes `messageMissing`. So no message
   blocks those after it.

`unreadable_messages.py` decides how to ask a server that fails on a message.
"""

from __future__ import annotations

import logging
import math
import re
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import msgspec
import trio

from engine.accounts import message_ids
from engine.accounts.arrival_contents import add_contents, wants_more
from engine.accounts.bounce_reports import Follow, is_report, read_report, told_before
from engine.accounts.message_summary import summary
from engine.accounts.observed_changes import API, scope
from engine.accounts.replies import announcing, find_reply, may_be_reply, written_text
from engine.accounts.requested_changes_under_way import MessageChanges
from engine.accounts.suppression_feed import SuppressionFeed
from engine.accounts.unreadable_messages import (
    BASICS,
    DESCRIPTION,
    ENVELOPE,
    FLAGS,
    REPORT,
    TEXT,
    UnreadableMessages,
    within,
)
from engine.errors import EngineError
from engine.events.journal import Journal
from engine.imap.fetched import Fetched
from engine.imap.limits import UID_BITS
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.uid_sets import ranges
from engine.mail.header_reading import fields
from engine.settings import SettingsBook
from engine.store import mailboxes, requested_arrivals
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.arrivals")

BATCH = 100
"""Maximum messages in one FETCH."""
END = 2**UID_BITS
"""Above every possible UID."""
TURN = 0.001
"""Seconds of pause after an announcement, so that readers get the events before more messages are read."""
MISSING_WAITS = (1.0, 1.7, 2.9)
"""Seconds before each repeated FETCH of a message that the server counted but did not show."""
REFUSED_IN_A_ROW = 3
"""If the server refuses this many messages in a row entirely, the fault is not with the messages."""
LATER = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED", "OVERQUOTA"})
"""Codes of a refusal that does not concern a single message (RFC 5530)."""
PATIENCE = 30.0
"""Seconds of silence after which to stop waiting for an answer."""
PATIENCE_FOR_ONE = 15.0
"""The same for a few numbers of one message, and where one of several is known to be at fault."""
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""Characters that need no quotes in a FETCH; in practice, field names contain no others."""
BASIC = ("UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE")
_LITTLE = ((BASICS, BASIC), (FLAGS, ("UID", "FLAGS")))
_HEADERS = (
    "AUTO-SUBMITTED PRECEDENCE X-AUTOREPLY X-AUTORESPOND X-AUTORESPONDER X-AUTO-RESPONSE X-AUTO-RESPONSE-SUPPRESS"
    " X-FAILED-RECIPIENTS CONTENT-TYPE RETURN-PATH REFERENCES LIST-ID"
)


Shown = tuple[dict[str, Any] | None, Follow | None]
Told = tuple[Fetched, dict[str, Any] | None, Follow | None]


class Taken(msgspec.Struct):
    """The result of `take`: the new UIDs in order, and flags that the server reported in the meantime, by UID."""

    uids: list[int] = []
    flags: dict[int, frozenset[str]] = {}


class Arrivals:
    """Announces the new messages of one account. `notify_from` is in seconds since 1970; None: all messages."""

    def __init__(
        self,
        account: str,
        notify_from: float | None,
        store: Store,
        journal: Journal,
        settings: SettingsBook,
        world: World,
        *,
        full: bool = True,
        requested: MessageChanges,
    ) -> None:
        self.requested = requested
        """What requests change of the account's messages."""
        self._account = account
        self.notify_from = None if notify_from is None else math.floor(notify_from)
        self._store = store
        self._journal = journal
        self._settings = settings
        self._feed = SuppressionFeed(settings, world)
        self._world = world
        self._full = full
        self.care = UnreadableMessages(store)
        self._hidden = 0
        """Consecutive messages that the server refused entirely."""

    async def take(self, session: ImapSession, row: MailboxRow, uid_next: int, expected: int | None) -> Taken:
        """Announce every message from `uid_next` on.

        `expected` is the number that the server reported, None if unknown. Raises what a broken session raises; what
        was announced before stays announced.
        """
        taken = Taken()
        while expected is not None and len(taken.uids) < expected and self.care.easy(row.id, uid_next, DESCRIPTION):
            # New messages mostly have the next UIDs in order, which saves a search for them.
            likely = range(uid_next, min(uid_next + BATCH, END))
            if not likely:
                break
            before = len(taken.uids)
            left, refused = await self._describe(session, row, likely, taken)
            found = len(taken.uids) + len(left)
            if not refused and (found >= expected or found - before == len(likely)):
                await self._announce(session, row, list(left.values()), taken)
            if not taken.uids or taken.uids[-1] != likely[-1]:
                break
            uid_next = likely.stop
        if expected is None or len(taken.uids) < expected:
            uid_next = taken.uids[-1] + 1 if taken.uids else uid_next
            with within(PATIENCE):
                uids = await session.search(f"UID {uid_next}:*")
            at = bisect_left(uids, uid_next)
            while at < len(uids):
                at += await self._take_some(session, row, uids[at : at + BATCH], taken)
        return taken

    async def _take_some(self, session: ImapSession, row: MailboxRow, uids: array[int], taken: Taken) -> int:
        """Announce at least the first of these messages; return how many."""
        several = self.care.together(row.id, uids, DESCRIPTION)
        shown: dict[int, Fetched] = {}
        refused = False
        if len(several) > 1:
            shown, refused = await self._describe(session, row, several, taken)
            if refused:
                self.care.split(row.id, several[0], several[-1], DESCRIPTION)
        done = bisect_left(several, taken.uids[-1] + 1) if taken.uids else 0
        gone: frozenset[int] = frozenset()
        if shown or not refused:
            gone = await self._vanished(session, [uid for uid in several[done:] if uid not in shown])
        while done < len(several):
            run: list[Fetched] = []
            while done < len(several) and several[done] in shown:
                run.append(shown[several[done]])
                done += 1
            await self._announce(session, row, run, taken)
            if done == len(several) or (refused and done):
                break
            if several[done] in gone:
                left = next((at for at in range(done, len(several)) if several[at] not in gone), len(several))
                await self._pass_over(row, several[done:left], taken)
                done = left
            else:
                await self._take_one(session, row, several[done], taken)
                done += 1
        return done

    async def _take_one(self, session: ImapSession, row: MailboxRow, uid: int, taken: Taken) -> None:
        retries = 0
        one = await self._describe_one(session, row, uid)
        while one is None and retries < len(MISSING_WAITS) and self.care.may_ask(row.id, uid, FLAGS):
            if await self._vanished(session, [uid]):
                await self._pass_over(row, [uid], taken)
                return
            await trio.sleep(MISSING_WAITS[retries])
            retries += 1
            one = await self._describe_one(session, row, uid)
        if one is None:
            await self._missing(row, uid, retries)
            taken.uids.append(uid)
        elif one.placeholder and await self._vanished(session, [uid]):
            await self._pass_over(row, [uid], taken)
        else:
            await self._announce(session, row, [one], taken)

    async def _vanished(self, session: ImapSession, uids: Sequence[int]) -> frozenset[int]:
        """Those of these messages that are no longer there: removed since they were listed, not hidden."""
        if not uids:
            return frozenset()
        try:
            with within(PATIENCE):
                there = await session.search(f"UID {uids[0]}:{uids[-1]}")
        except CommandRefused:
            return frozenset()
        return frozenset(uids).difference(there)

    async def _pass_over(self, row: MailboxRow, uids: Sequence[int], taken: Taken) -> None:
        """Count messages as known that came and went unseen; they raise no event."""
        last = uids[-1]
        await self.requested.arrivals_settled(row.id)

        def change(tx: Tx) -> None:
            mailboxes.advance(tx, row.id, last)
            requested_arrivals.take(tx, row.id, last)

        await self._store.commit(change)
        taken.uids += uids

    async def _describe_one(self, session: ImapSession, row: MailboxRow, uid: int) -> Fetched | None:
        """What the server can say about one message; None if nothing."""
        refusal: CommandRefused | None = None
        known: Fetched | None = None
        for question, items in _LITTLE:
            if known is None:
                known, refused = await self._ask(session, row, uid, question, items)
                refusal = refused or refusal
        if known is None:
            if refusal is not None:
                self._hidden += 1
                if refusal.code in LATER or self._hidden > REFUSED_IN_A_ROW * (1 + len(MISSING_WAITS)):
                    self._hidden = 0
                    raise refusal
            return None
        self._hidden = 0
        full, refusal = await self._ask(session, row, uid, DESCRIPTION, self._items(session))
        if refusal is not None and (extras := session.id_items):
            # Perhaps the server offers an extension whose items it does not know.
            plain = [item for item in self._items(session) if item not in extras]
            full, refusal = await self._ask(session, row, uid, DESCRIPTION, plain)
            if refusal is None:
                session.refuses_ids()
        if refusal is not None:
            full, _ = await self._ask(session, row, uid, ENVELOPE, (*BASIC, "ENVELOPE"))
        return full if full is not None and full.described else known

    async def _ask(
        self, session: ImapSession, row: MailboxRow, uid: int, question: str, items: Sequence[str]
    ) -> tuple[Fetched | None, CommandRefused | None]:
        if not self.care.may_ask(row.id, uid, question):
            return None, None
        patience = PATIENCE if question == DESCRIPTION else PATIENCE_FOR_ONE
        try:
            with self.care.asking(session, row.id, uid, uid, question, patience):
                found = await session.fetch(((uid, uid),), items)
        except CommandRefused as error:
            self._refused(error)
            return None, error
        return next((each for each in found if each.uid == uid), None), None

    async def _describe(
        self, session: ImapSession, row: MailboxRow, uids: Sequence[int], taken: Taken
    ) -> tuple[dict[int, Fetched], bool]:
        """Fetch messages in full and announce them as they arrive.

        Returns those not announced yet, by UID, and whether the server refused the FETCH. A message has to wait if an
        earlier one has not been shown, or if more must be asked about it or an earlier one.
        """
        due = deque(uids)
        waiting: dict[int, Fetched] = {}

        async def heed(found: list[Fetched]) -> None:
            for each in found:
                if each.described:
                    waiting[each.uid] = each
                    taken.flags.pop(each.uid, None)
                elif each.flags is not None:
                    taken.flags[each.uid] = each.flags
            ready = []
            while due and due[0] in waiting and not self._asks_more(session, row, waiting[due[0]]):
                ready.append(waiting.pop(due.popleft()))
            if due:
                asked.first, asked.last = due[0], due[-1]
            with asked.heard():
                if ready:
                    await self._announce(session, row, ready, taken)
                    await trio.sleep(TURN)

        refused = False
        patience = PATIENCE if self.care.easy(row.id, due[0], DESCRIPTION) else PATIENCE_FOR_ONE
        try:
            with self.care.asking(session, row.id, due[0], due[-1], DESCRIPTION, patience) as asked:
                await session.fetch_each(ranges(uids), self._items(session), heed)
        except CommandRefused as error:
            self._refused(error)
            refused = True
        return {uid: waiting[uid] for uid in sorted(waiting)}, refused

    def _refused(self, error: CommandRefused) -> None:
        log.warning("new messages cannot be described: %s", error)

    def _items(self, session: ImapSession) -> list[str]:
        wanted = self._settings.values.notify_headers or ()
        asked = [_HEADERS, *(name.upper() for name in wanted if _FIELD_NAME.fullmatch(name))]
        header = "HEADER" if "*" in wanted else f"HEADER.FIELDS ({' '.join(asked)})"
        return [*BASIC, "ENVELOPE", "BODYSTRUCTURE", f"BODY.PEEK[{header}]", *session.id_items]

    async def _announce(self, session: ImapSession, row: MailboxRow, found: list[Fetched], taken: Taken) -> None:
        if not found:
            return
        told = [(each, *await self._event(session, row, each)) for each in found]
        if not await self._written(row, told):
            # One of them cannot be stored as described: write each separately, and that one with minimal data.
            for each in told:
                if not await self._written(row, [each]):
                    await self._commit(row, [(each[0], self._little(row, each[0]), None)])
        taken.uids += [each.uid for each in found]

    async def _written(self, row: MailboxRow, told: list[Told]) -> bool:
        try:
            await self._commit(row, told)
        except EngineError:
            raise
        except Exception:
            level = logging.WARNING if len(told) == 1 else logging.DEBUG
            uid = told[0][0].uid
            log.log(level, "message %d of %s in an event", uid, row.path, exc_info=True)
            return False
        return True

    async def _commit(self, row: MailboxRow, told: list[Told]) -> None:
        last = told[-1][0].uid
        await self.requested.arrivals_settled(row.id)
        awaited = self.requested.arriving(row.id)

        def change(tx: Tx) -> None:
            start = mailboxes.advance(tx, row.id, last)
            new = [] if start is None else [each for each in told if each[0].uid >= start]
            if self._full:
                mailboxes.note(tx, row.id, [(each.uid, each.flags or frozenset()) for each, _, _ in new])
            journal, where = self._journal, scope(row)
            asked_for = requested_arrivals.take(tx, row.id, last)
            for follow, group in groupby(new, key=lambda each: each[2]):
                told_of = [
                    {**data, "source": API} if one.uid in asked_for or data.get("messageId") in awaited else data
                    for one, data, _ in group
                    if data is not None
                ]
                journal.extend(tx, "messageNew", self._account, told_of, where)
                if follow is not None:
                    follow(tx)

        await self._store.commit(change)

    async def _missing(self, row: MailboxRow, uid: int, retries: int) -> None:
        data = {
            "id": message_ids.message_id(row.id, uid),
            "uid": uid,
            "path": row.path,
            "missingRetries": retries,
            "missingDelay": round(sum(MISSING_WAITS[:retries]) * 1000),
        }

        def change(tx: Tx) -> None:
            if mailboxes.advance(tx, row.id, uid) is not None:
                self._journal.append(tx, "messageMissing", self._account, data, scope(row))

        await self._store.commit(change)
        await self.care.give_up(row.id, uid, FLAGS)

    async def _event(self, session: ImapSession, row: MailboxRow, one: Fetched) -> Shown:
        """The data of `messageNew` and what follows it; nothing for a message too old to be announced."""
        arrived = one.internal_date
        if self.notify_from is not None and arrived is not None and arrived < self.notify_from:
            return None, None
        data = None
        with self._costing_no_more(row, one, "description"):
            data = summary(one, row.id, row.path, row.special_use)
        data = data or self._little(row, one)
        if came_back := told_before(self._store.reader, self._account, data.get("messageId", "")):
            data["bounces"] = came_back
        wanted = {name.lower() for name in self._settings.values.notify_headers or ()}
        if wanted:
            with self._costing_no_more(row, one, "header"):
                header = fields(one.header)
                data["headers"] = {name: header[name] for name in header if name in wanted or "*" in wanted}
        settings = self._settings.values
        if wants_more(settings, one, session) and self.care.may_ask(row.id, one.uid, TEXT):
            care = self.care.asking(session, row.id, one.uid, one.uid, TEXT, PATIENCE)
            with self._costing_no_more(row, one, "contents"), care:
                await add_contents(session, one, data, settings, self._world)
        follow = None
        if is_report(row, one) and self.care.may_ask(row.id, one.uid, REPORT):
            care = self.care.asking(session, row.id, one.uid, one.uid, REPORT, PATIENCE)
            with self._costing_no_more(row, one, "report"), care:
                follow = await read_report(session, row, one, data, self._journal, self._feed, self._world)
        return data, follow or await self._reply(session, row, one, data)

    async def _reply(self, session: ImapSession, row: MailboxRow, one: Fetched, data: dict[str, Any]) -> Follow | None:
        reply = find_reply(self._store.reader, row, one)
        if reply is None or not may_be_reply(data):
            return None
        text = None
        if self.care.may_ask(row.id, one.uid, TEXT):
            care = self.care.asking(session, row.id, one.uid, one.uid, TEXT, PATIENCE)
            with self._costing_no_more(row, one, "text"), care:
                text = await written_text(session, one, self._world)
        return announcing(row, one, reply, data, text, self._journal, self._world)

    def _little(self, row: MailboxRow, one: Fetched) -> dict[str, Any]:
        """The members of `messageNew` that do not depend on the sender's input."""
        bare = Fetched(uid=one.uid, flags=one.flags, internal_date=one.internal_date, size=one.size)
        return summary(bare, row.id, row.path, row.special_use)

    @contextmanager
    def _costing_no_more(self, row: MailboxRow, one: Fetched, part: str) -> Iterator[None]:
        """If the block raises because of a message, log it and continue without the block's result."""
        try:
            yield
        except EngineError:
            raise
        except Exception:
            log.exception("the %s of message %d of %s", part, one.uid, row.path)

    def _asks_more(self, session: ImapSession, row: MailboxRow, one: Fetched) -> bool:
        """Whether the server has to be asked again to tell of a message."""
        if wants_more(self._settings.values, one, session) or is_report(row, one):
            return True
        return find_reply(self._store.reader, row, one) is not None
