"""New messages: asked for, described, and announced in the commit that moves the mailbox's position past them.

However many arrive, they are fetched and committed in batches, oldest first. A message the server cannot describe is
announced with the little that is known of it, and one it named but never shows becomes `messageMissing`: neither holds
up those behind it. Messages older than the account's `notifyFrom` are noted without an event.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable
from typing import Any

import trio

from engine.accounts import ids
from engine.accounts.changes import scope
from engine.accounts.reports import Follow, read_report
from engine.accounts.services import Services
from engine.accounts.summary import Text, summary
from engine.imap.fetched import Fetched
from engine.imap.numbers import chunks, ranges
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import Part
from engine.mail.decode import body_text
from engine.mail.fields import fields
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Tx

log = logging.getLogger("engine.arrivals")

BATCH = 50
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
    "AUTO-SUBMITTED PRECEDENCE X-AUTOREPLY X-AUTORESPOND X-AUTO-RESPONSE X-FAILED-RECIPIENTS CONTENT-TYPE RETURN-PATH"
)


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

    async def take(self, session: ImapSession, row: MailboxRow, uid_next: int, expected: int | None) -> list[int]:
        """Announce every message from `uid_next` on; their UIDs.

        `expected` is how many the server spoke of, None where that is not known. Raises what a broken session raises;
        what was announced before is announced for good.
        """
        if expected is not None and expected <= BATCH and uid_next >= self._careful.get(row.id, 0):
            self._asked = (row.id, uid_next, uid_next + BATCH)
            found = await self._describe(session, None, uid_next)
            if found is not None and len(found) >= expected:
                await self._commit(session, row, found)
                return [each.uid for each in found]
        uids = await session.search(f"UID {uid_next}:*")
        wanted = uids[_first_at_least(uids, uid_next) :]
        for batch in chunks(wanted, BATCH):
            await self._take_batch(session, row, list(batch))
        return list(wanted)

    def stumbled(self) -> None:
        """The connection ended. If new messages were being described, they are asked for more carefully next time."""
        if self._asked is None:
            return
        mailbox, first, last = self._asked
        self._asked = None
        if first == last:
            self._indescribable.add((mailbox, first))
        self._careful[mailbox] = max(self._careful.get(mailbox, 0), last + 1)

    async def _take_batch(self, session: ImapSession, row: MailboxRow, uids: list[int]) -> None:
        if uids[0] >= self._careful.get(row.id, 0):
            self._asked = (row.id, uids[0], uids[-1])
            found = await self._describe(session, ranges(uids), 0)
            if found is not None and {each.uid for each in found} >= set(uids):
                await self._commit(session, row, found)
                return
        for uid in uids:
            one = await self._describe_one(session, row, uid)
            if one is None:
                await self._missing(row, uid)
            else:
                await self._commit(session, row, [one])

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
            described = [each for each in await self._describe(session, ((uid, uid),), 0) or [] if each.uid == uid]
            return described[0] if described else basic[0]
        return None

    async def _describe(
        self, session: ImapSession, numbers: tuple[tuple[int, int], ...] | None, first: int
    ) -> list[Fetched] | None:
        """The messages in full, oldest first; None where the server refuses to say."""
        items = self._items(session)
        try:
            if numbers is None:
                found = await session.fetch_from(first, items)
            else:
                found = await session.fetch(numbers, items)
        except CommandRefused as error:
            log.warning("account %s: new messages cannot be described: %s", self._account, error)
            return None
        self._asked = None
        # What the server says of other messages meanwhile holds their flags only.
        return sorted((each for each in found if each.size is not None), key=lambda each: each.uid)

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

    async def _commit(self, session: ImapSession, row: MailboxRow, found: list[Fetched]) -> None:
        told = [(each, *await self._event(session, row, each)) for each in found]

        def change(tx: Tx) -> None:
            for each, data, follow in told:
                if not mailboxes.advance(tx, row.id, each.uid):
                    continue
                if self._full:
                    mailboxes.note(tx, row.id, [(each.uid, each.flags or frozenset())])
                if data is not None:
                    self._services.journal.append(tx, "messageNew", self._account, data, scope(row))
                if follow is not None:
                    follow(tx)

        await self._services.store.commit(change)

    async def _missing(self, row: MailboxRow, uid: int) -> None:
        data = {
            "id": ids.message_id(row.id, uid),
            "uid": uid,
            "path": row.path,
            "missingRetries": len(MISSING_WAITS),
            "missingDelay": round(sum(MISSING_WAITS) * 1000),
        }

        def change(tx: Tx) -> None:
            if mailboxes.advance(tx, row.id, uid):
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
        if self._services.settings.values["notifyText"]:
            await self._add_text(session, one, data["text"])
        return data, await read_report(session, row, one, data, self._services)

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
    return body_text(raw, part.encoding, part.parameters.get("charset", b"").decode("ascii", "replace"))


def _first_at_least(uids: Iterable[int], uid: int) -> int:
    return next((index for index, each in enumerate(uids) if each >= uid), 10**9)
