"""New messages: asked for, described, and announced in the commit that moves the mailbox's position past them.

However many arrive, they are asked for in batches and announced while the answer still comes, oldest first. A message
the server cannot describe is announced with the little that is known of it, and one it named but never shows becomes
`messageMissing`: neither holds up those behind it. Messages older than the account's `notifyFrom` are noted without an
event.
"""

from __future__ import annotations

import logging
import math
import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
import trio

from engine.accounts import ids
from engine.accounts.changes import scope
from engine.accounts.reports import Follow, is_report, read_report
from engine.accounts.services import Services
from engine.accounts.summary import Text, summary
from engine.imap.fetched import Fetched
from engine.imap.numbers import chunks, ranges
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import Part
from engine.mail.decode import body_text, parameter
from engine.mail.fields import fields
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Tx

log = logging.getLogger("engine.arrivals")

BATCH = 100
"""Messages asked for at once."""
END = 2**32
"""Above every UID there can be."""
TURN = 0.001
"""Seconds in which those who wait for the events just announced get them, before the next messages are read."""
MISSING_WAITS = (1.0, 1.7, 2.9)
"""Seconds before each further question for a message the server named but did not show."""
TEXT_BYTES = 512 * 1024
"""How much of a text part is fetched at most."""
TEXT_CHARACTERS = 128 * 1024
"""How much of a text is in an event where `notifyTextSize` does not say."""
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""What may stand in a FETCH without quotes; field names are made of nothing else in practice."""
BASIC = ("UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE")
_HEADERS = (
    "AUTO-SUBMITTED PRECEDENCE X-AUTOREPLY X-AUTORESPOND X-AUTORESPONDER X-AUTO-RESPONSE X-AUTO-RESPONSE-SUPPRESS"
    " X-FAILED-RECIPIENTS CONTENT-TYPE RETURN-PATH REFERENCES LIST-ID"
)


class Taken(msgspec.Struct):
    """What came of the new messages: UIDs in order, and flags the server told of meanwhile, by UID."""

    uids: list[int] = []
    flags: dict[int, frozenset[str]] = {}


class Arrivals:
    """Announces the new messages of one account. `notify_from` in seconds since 1970, None for all."""

    def __init__(self, account: str, notify_from: float | None, services: Services, *, full: bool = True) -> None:
        self._account = account
        self.notify_from = None if notify_from is None else math.floor(notify_from)
        self._services = services
        self._full = full
        self._asked: tuple[int, int, int] | None = None
        """Mailbox and UIDs in full description on the wire; None while nothing is."""
        self._careful: dict[int, int] = {}
        """By mailbox: messages below this UID are asked for one by one, since asking for many ended the connection."""
        self._indescribable: set[tuple[int, int]] = set()
        """Mailbox and UID of messages whose description alone ended the connection."""

    async def take(self, session: ImapSession, row: MailboxRow, uid_next: int, expected: int | None) -> Taken:
        """Announce every message from `uid_next` on.

        `expected` is how many the server spoke of, None where that is not known. Raises what a broken session raises;
        what was announced before is announced for good.
        """
        taken = Taken()
        while expected is not None and len(taken.uids) < expected and uid_next >= self._careful.get(row.id, 0):
            # New messages mostly have the UIDs that follow, which saves the question for them.
            likely = range(uid_next, min(uid_next + BATCH, END))
            if not likely:
                break
            before = len(taken.uids)
            left = await self._describe(session, row, likely, taken)
            found = len(taken.uids) + len(left or ())
            if left is not None and (found >= expected or found - before == len(likely)):
                await self._announce(session, row, left, taken)
            if not taken.uids or taken.uids[-1] != likely[-1]:
                break
            uid_next = likely.stop
        if expected is None or len(taken.uids) < expected:
            uid_next = taken.uids[-1] + 1 if taken.uids else uid_next
            uids = await session.search(f"UID {uid_next}:*")
            for batch in chunks(uids[bisect_left(uids, uid_next) :], BATCH):
                await self._take_batch(session, row, batch, taken)
        return taken

    def stumbled(self) -> None:
        """The connection ended. If new messages were being described, they are asked for more carefully next time."""
        if self._asked is None:
            return
        mailbox, first, last = self._asked
        self._asked = None
        if first == last:
            self._indescribable.add((mailbox, first))
        self._careful[mailbox] = max(self._careful.get(mailbox, 0), last + 1)

    async def _take_batch(self, session: ImapSession, row: MailboxRow, uids: Sequence[int], taken: Taken) -> None:
        if uids[0] >= self._careful.get(row.id, 0):
            left = await self._describe(session, row, uids, taken)
            uids = uids[bisect_right(uids, taken.uids[-1]) :] if taken.uids else uids
            if left is not None and {each.uid for each in left} >= set(uids):
                await self._announce(session, row, left, taken)
                return
        for uid in uids:
            one = await self._describe_one(session, row, uid)
            if one is None:
                await self._missing(row, uid)
                taken.uids.append(uid)
            else:
                await self._announce(session, row, [one], taken)

    async def _describe_one(self, session: ImapSession, row: MailboxRow, uid: int) -> Fetched | None:
        for wait in (0.0, *MISSING_WAITS):
            await trio.sleep(wait)
            basic = [each for each in await session.fetch(((uid, uid),), BASIC) if each.uid == uid]
            if not basic:
                continue
            if (row.id, uid) in self._indescribable:
                log.warning("account %s: message %d of %s cannot be described", self._account, uid, row.path)
                return basic[0]
            self._asked = (row.id, uid, uid)
            try:
                found = await session.fetch(((uid, uid),), self._items(session))
            except CommandRefused as error:
                self._refused(error)
                found = []
            self._asked = None
            return next((each for each in found if each.uid == uid and each.size is not None), basic[0])
        return None

    async def _describe(
        self, session: ImapSession, row: MailboxRow, uids: Sequence[int], taken: Taken
    ) -> list[Fetched] | None:
        """Ask for messages in full, and announce them while they come.

        Returns those that could not be yet, oldest first: a message between them and those announced has not been
        shown, or more is to be asked of one of them. None where the server refuses to say.
        """
        due = deque(uids)
        waiting: dict[int, Fetched] = {}

        async def heed(found: list[Fetched]) -> None:
            for each in found:
                if each.size is not None:
                    waiting[each.uid] = each
                    taken.flags.pop(each.uid, None)
                elif each.flags is not None:
                    taken.flags[each.uid] = each.flags
            ready = []
            while due and due[0] in waiting and not self._asks_more(row, waiting[due[0]]):
                ready.append(waiting.pop(due.popleft()))
            self._asked = (row.id, due[0], due[-1]) if due else None
            if ready:
                await self._announce(session, row, ready, taken)
                await trio.sleep(TURN)

        self._asked = (row.id, due[0], due[-1])
        try:
            await session.fetch_each(ranges(uids), self._items(session), heed)
        except CommandRefused as error:
            self._refused(error)
            return None
        self._asked = None
        return [waiting[uid] for uid in sorted(waiting)]

    def _refused(self, error: CommandRefused) -> None:
        log.warning("account %s: new messages cannot be described: %s", self._account, error)

    def _items(self, session: ImapSession) -> list[str]:
        wanted = self._services.settings.values["notifyHeaders"] or ()
        asked = [_HEADERS, *(name.upper() for name in wanted if _FIELD_NAME.fullmatch(name))]
        header = "HEADER" if "*" in wanted else f"HEADER.FIELDS ({' '.join(asked)})"
        items = [*BASIC, "ENVELOPE", "BODYSTRUCTURE", f"BODY.PEEK[{header}]"]
        if "X-GM-EXT-1" in session.capabilities:
            items += ["X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS"]
        elif "OBJECTID" in session.capabilities:
            items += ["EMAILID", "THREADID"]
        return items

    async def _announce(self, session: ImapSession, row: MailboxRow, found: list[Fetched], taken: Taken) -> None:
        if not found:
            return
        told = [(each, *await self._event(session, row, each)) for each in found]

        def change(tx: Tx) -> None:
            start = mailboxes.advance(tx, row.id, found[-1].uid)
            new = [] if start is None else [each for each in told if each[0].uid >= start]
            if self._full:
                mailboxes.note(tx, row.id, [(each.uid, each.flags or frozenset()) for each, _, _ in new])
            journal, where = self._services.journal, scope(row)
            for follow, group in groupby(new, key=lambda each: each[2]):
                told_of = [data for _, data, _ in group if data is not None]
                journal.extend(tx, "messageNew", self._account, told_of, where)
                if follow is not None:
                    follow(tx)

        await self._services.store.commit(change)
        taken.uids += [each.uid for each in found]

    async def _missing(self, row: MailboxRow, uid: int) -> None:
        data = {
            "id": ids.message_id(row.id, uid),
            "uid": uid,
            "path": row.path,
            "missingRetries": len(MISSING_WAITS),
            "missingDelay": round(sum(MISSING_WAITS) * 1000),
        }

        def change(tx: Tx) -> None:
            if mailboxes.advance(tx, row.id, uid) is not None:
                self._services.journal.append(tx, "messageMissing", self._account, data, scope(row))

        await self._services.store.commit(change)

    async def _event(
        self, session: ImapSession, row: MailboxRow, one: Fetched
    ) -> tuple[dict[str, Any] | None, Follow | None]:
        """The data of `messageNew` and what follows it; None for a message that is too old to be told of."""
        arrived = one.internal_date
        if self.notify_from is not None and arrived is not None and arrived < self.notify_from:
            return None, None
        data = summary(one, row.id, row.path, row.special_use)
        wanted = {name.lower() for name in self._services.settings.values["notifyHeaders"] or ()}
        if wanted:
            header = fields(one.header)
            data["headers"] = {name: header[name] for name in header if name in wanted or "*" in wanted}
        if self._tells_text:
            await self._add_text(session, one, data["text"])
        return data, await read_report(session, row, one, data, self._services)

    @property
    def _tells_text(self) -> bool:
        return self._services.settings.values["notifyText"] is True

    def _asks_more(self, row: MailboxRow, one: Fetched) -> bool:
        """Whether the server has to be asked again to tell of a message."""
        return self._tells_text or is_report(row, one)

    async def _add_text(self, session: ImapSession, one: Fetched, shown: dict[str, Any]) -> None:
        limit = self._services.settings.values["notifyTextSize"] or TEXT_CHARACTERS
        text = Text(one.structure)
        items = [f"BODY.PEEK[{part.path}]<0.{TEXT_BYTES}>" for part in (*text.plain, *text.html)]
        if not items:
            return
        try:
            found = await session.fetch(((one.uid, one.uid),), ["UID", *items])
        except CommandRefused as error:
            log.warning("account %s: the text of a new message cannot be read: %s", self._account, error)
            return
        sections = next((each.sections for each in found if each.uid == one.uid), {})
        for name, parts in (("plain", text.plain), ("html", text.html)):
            if parts:
                whole = "\n".join(_read(part, sections.get(part.path, b"")) for part in parts)
                shown[name] = whole[:limit]
                if len(whole) > limit or any(part.size > TEXT_BYTES for part in parts):
                    shown["hasMore"] = True


def _read(part: Part, raw: bytes) -> str:
    return body_text(raw, part.encoding, parameter(part.parameters, "charset"), cut=len(raw) >= TEXT_BYTES)
