"""One folder of an account, followed through one session: opened, compared with what is known, listened to.

1. `look` selects the folder. A server with QRESYNC reports in that answer what has changed and vanished since the known
   UIDVALIDITY and MODSEQ.
2. A different UIDVALIDITY voids every UID: one `mailboxReset`, and a new row for the messages there now (`_reset`).
3. The first look notes all messages, and announces only those newer than `notifyFrom` (`_first_look`).
4. Every later look catches up (`_catch_up`): it uses what SELECT reported; failing that, it fetches the flags changed
   since the known MODSEQ, or compares all flags. If the message counts then disagree, it compares all UIDs.
5. It then announces the messages at or above the known UIDNEXT (`_arrived`, `arrivals.py`).
6. `hear` takes unsolicited responses, during IDLE and other commands. Sequence numbers are used only while the server's
   count agrees with ours; once they disagree, `look` compares by UID.
7. A message that the server counted but did not show is requested again after `UNSEEN_WAITS` (`look_for_unseen`).

Whatever the server reports goes to the store as an observation (this message has these flags, that one is gone). Only
a difference from the stored state becomes an event, in the same commit. So each change is announced once, however often
and in whatever way it is observed, and none is lost between two sessions. The known MODSEQ advances only after a whole
answer has been processed. `unreadable_messages.py` keeps us from repeating questions that break the connection.
"""

from __future__ import annotations

import logging
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeVar

import trio

from engine.accounts import observed_changes
from engine.accounts.arrivals import Arrivals
from engine.accounts.requested_changes_under_way import GONE
from engine.accounts.unreadable_messages import CHANGES, DATE, FLAGS, within
from engine.events.journal import Journal
from engine.imap.commands import search_date
from engine.imap.fetched import Fetched, read_fetch
from engine.imap.mailboxes import Mailbox
from engine.imap.responses import Exists, Expunge, Fetch, Untagged, Vanished
from engine.imap.session import CommandRefused, ImapSession, Selected
from engine.imap.uid_sets import Ranges, ranges
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Store, Tx

log = logging.getLogger("engine.folder")
Item = TypeVar("Item")

CHUNK = 500
"""Maximum messages in one FETCH of flags, and maximum changes in one commit."""
NUMBERING_TRIES = 5
"""Attempts to learn the sequence numbers of a constantly changing mailbox before falling back to comparison."""
PATIENCE = 60.0
"""Seconds of silence after which to stop waiting for the flags of messages."""
FEW = 20
PATIENCE_FOR_FEW = 20.0
"""The same for at most `FEW` messages."""
SELECT_PATIENCE = 60.0
SEARCH_PATIENCE = 3
"""A list of all messages may take this many times as long as opening the mailbox."""
REFUSED_FLAGS = 8
"""If the server refuses the flags of this many messages, the fault is not with the messages."""
UNKNOWN = frozenset({""})
"""Stands for flags that must be requested; no message can have these."""
UNSEEN_WAITS = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before each further look for messages that the server counted but did not show."""
DAY = 86_400.0
EVERY = (1, 2**32 - 1)
"""All UIDs that a server accepts in a command (RFC 9051 section 9)."""
_ITEM = {FLAGS: "FLAGS", DATE: "INTERNALDATE"}
STATUS_ITEMS = ("MESSAGES", "UIDNEXT", "UIDVALIDITY")


class WatchedFolder:
    """`full`: follow flags and removals too, not only new messages. `passing`: the mailbox ends with this process."""

    def __init__(
        self,
        row: MailboxRow,
        mailbox: Mailbox,
        arrivals: Arrivals,
        store: Store,
        journal: Journal,
        *,
        full: bool,
        passing: bool = False,
    ) -> None:
        self.row = row
        self.mailbox = mailbox
        self._arrivals = arrivals
        self._store = store
        self._journal = journal
        self._full = full
        self._patience = SELECT_PATIENCE
        self._passing = passing
        self._exists = 0
        self._heard = self._looked = 0
        """Changes by requests that had ended when it was last heard, and last looked for news (flags may be so old)."""
        self._uids: array[int] | None = None
        """The UID of each sequence number, if the server uses sequence numbers; None: not known."""
        self._unseen = 0
        """Number of messages that the server counted but did not show."""
        self._unseen_looks = 0
        self._next_look = math.inf
        self._refused = 0
        """Number of messages whose data item the server has refused in this look."""

    @property
    def path(self) -> str:
        """The path of the folder."""
        return self.mailbox.path

    @property
    def seconds_to_next(self) -> float:
        """Seconds until `look_for_unseen` is due; infinite if it is not."""
        return max(0.0, self._next_look - trio.current_time())

    def behind(self, status: dict[str, int]) -> bool:
        """Whether its STATUS shows something not known yet."""
        row = self.row
        known = {"UIDVALIDITY": row.uid_validity, "UIDNEXT": row.uid_next}
        if self._full:
            known |= {"HIGHESTMODSEQ": row.modseq, "MESSAGES": mailboxes.count(self._store.reader, row.id)}
        return any(status.get(name, value) != value for name, value in known.items() if value is not None)

    def differs(self, status: dict[str, int]) -> bool:
        """Whether its STATUS shows something not known yet, or lacks what would show it."""
        row = self.row
        if row.uid_next is None or status.get("UIDVALIDITY", row.uid_validity) != row.uid_validity:
            return True
        if status.get("UIDNEXT") != row.uid_next:
            return True
        if not self._full:
            return False
        if row.modseq is None or status.get("HIGHESTMODSEQ") != row.modseq:
            return True
        return status.get("MESSAGES") != mailboxes.count(self._store.reader, row.id)

    async def look(self, session: ImapSession, *, doubt: bool = False, patience: float = SELECT_PATIENCE) -> None:
        """Open the mailbox and announce everything that has changed since the last look.

        `doubt`: compare all UIDs, whatever the counts say. `patience`: seconds that the server has for opening it.
        Raises `CommandRefused` if it cannot be opened, and what a broken session raises; the next look then continues
        where this one ended.
        """
        await self.reload()  # an interrupted look may have announced some messages
        self._patience = patience
        row = self.row
        resyncs = self._full and row.uid_next is not None and "QRESYNC" in await session.enable()
        known = (row.uid_validity, row.modseq) if resyncs and row.uid_validity and row.modseq else None
        self._looked = self._arrivals.requested.mark
        with within(patience):
            selected = await session.select(self.path, known=known)
        self._exists = selected.exists
        self._uids = None
        self._owe(0)
        # A missing UIDVALIDITY counts as unchanged.
        validity = selected.uid_validity or row.uid_validity or 0
        if row.uid_validity not in (None, validity):
            await self._reset(validity)
        grown: int | None = None
        if self.row.uid_next is None:
            await self._first_look(session, selected, validity)
        elif self._full:
            await self._catch_up(session, selected, told=selected.tells_changes)
            if doubt:
                await self._compare_uids(session)
            grown = self._exists - mailboxes.count(self._store.reader, self.row.id)
        # If few are new, a FETCH of the next UIDs mostly shows them all, without a search for them.
        await self._arrived(session, selected.uid_next, grown if grown is not None and 0 < grown <= FEW else None)

    async def hear(self, session: ImapSession, news: Sequence[Untagged]) -> None:
        """Announce what the server said unasked of this mailbox, which is the one selected."""
        self._heard, mark = self._arrivals.requested.mark, self._heard
        before = self._exists
        gone: list[int] = []
        flags: dict[int, frozenset[str]] = {}
        numbered: dict[int, frozenset[str]] = {}
        removed: list[int] = []
        void = False
        for each in news:
            if isinstance(each, Exists):
                void = void or each.count < self._exists
                self._exists = each.count
            elif isinstance(each, Vanished):
                gone += self._known(each.ranges)
                # The ranges may name more messages than exist.
                size = min(self._exists, sum(last - first + 1 for first, last in each.ranges))
                before, self._exists = before - size, self._exists - size
            elif isinstance(each, Expunge):
                void = void or self._uids is None or not 0 < each.number <= self._exists
                before, self._exists = before - 1, max(0, self._exists - 1)
                if not void and self._uids is not None and each.number <= len(self._uids):
                    removed.append(self._uids.pop(each.number - 1))
            elif isinstance(each, Fetch) and "FLAGS" in each.items:
                uid, new, fits = self._flags_of(each)
                void = void or not fits
                if uid is not None and new is not None:
                    (flags if "UID" in each.items else numbered)[uid] = new
        if self._full:
            if not void:
                flags, gone = {**numbered, **flags}, [*gone, *removed]
            await self._changed(session, flags, unasked=mark)
            await self._gone(gone)
            if void:
                await self.look(session, doubt=True)
                return
        if self._exists > before:
            found = await self._arrived(session, None, self._exists - before)
            self._owe(self._exists - before - found)

    async def look_for_unseen(self, session: ImapSession) -> None:
        """Look again for messages that the server counted but did not show."""
        self._next_look = math.inf
        await session.noop()  # some servers show new messages only after NOOP
        found = await self._arrived(session, None)
        self._owe(self._unseen - found, self._unseen_looks + 1)

    def _owe(self, unseen: int, looks: int = 0) -> None:
        self._unseen, self._unseen_looks = unseen, looks
        due = unseen > 0 and looks < len(UNSEEN_WAITS)
        self._next_look = trio.current_time() + UNSEEN_WAITS[looks] if due else math.inf

    def _flags_of(self, response: Fetch) -> tuple[int | None, frozenset[str] | None, bool]:
        """The UID and flags in a FETCH, and whether its sequence number is plausible; if not, no number is now."""
        place, known = response.number - 1, self._uids
        fits = 0 <= place < self._exists
        there = known[place] if known is not None and 0 <= place < len(known) else None
        one = read_fetch(response)
        if one is not None:
            return one.uid, one.flags, fits and there in (None, one.uid)
        if there is None or not fits:
            return None, None, fits and known is not None
        one = read_fetch(Fetch(response.number, {**response.items, "UID": str(there)}))
        return (one.uid, one.flags, True) if one is not None else (None, None, True)

    async def _reset(self, validity: int) -> None:
        """Every UID is void: announce that once, and continue with a new row."""
        old = self.row

        def change(tx: Tx) -> int:
            mailboxes.drop(tx, old.id)
            new = mailboxes.add(tx, old.account, old.path, old.special_use, uid_validity=validity, silent=True)
            observed_changes.mailbox_reset(tx, self._journal, old, self.mailbox.name, validity)
            return new

        if not self._passing:
            log.info("the server has renumbered %s (UIDVALIDITY): the messages in it now raise no event", old.path)
        await self.reload(await self._store.commit(change))

    async def _first_look(self, session: ImapSession, selected: Selected, validity: int) -> None:
        uids = await self._every_uid(session)
        uid_next = selected.uid_next or (uids[-1] + 1 if uids else 1)
        start = uid_next if self.row.silent else await self._first_to_announce(session, uids, uid_next)
        row = self.row
        if self._full:
            before = uids[: bisect_left(uids, start)]
            at = 0
            while at < len(before):
                found, at = await self._ask(session, before, at)
                noted = [(each.uid, each.flags) for each in found if each.flags is not None and each.uid < start]
                await self._store.commit(partial(mailboxes.note, mailbox=row.id, messages=noted))
        modseq = selected.highest_modseq
        await self._store.commit(lambda tx: mailboxes.set_position(tx, row.id, validity, start, modseq))
        await self.reload()
        # An interrupted look may have noted messages that have since been removed.
        there = set(uids)
        await self._gone([uid for uid in mailboxes.uids(self._store.reader, row.id) if uid not in there], quiet=True)

    async def _first_to_announce(self, session: ImapSession, uids: array[int], uid_next: int) -> int:
        """The lowest UID to announce at the first look."""
        since = self._arrivals.notify_from
        if since is None or not uids:
            return uids[0] if uids else uid_next
        # SEARCH compares only dates, and the server's time zone may differ.
        with within(SEARCH_PATIENCE * self._patience):
            recent = await session.search(f"SINCE {search_date(max(since - DAY, 0))}")
        at = 0
        while at < len(recent):
            found, at = await self._ask(session, recent, at, DATE)
            wanted = [each.uid for each in found if each.internal_date is not None and each.internal_date >= since]
            if wanted:
                return min(wanted)
        return uid_next

    async def _catch_up(self, session: ImapSession, selected: Selected, *, told: bool) -> None:
        row = self.row
        assert row.uid_next is not None
        if told:
            await self._gone(self._known(selected.vanished))
            # The flags of a new message come with the rest of what is announced of it.
            known_ones = {uid: each for uid, each in _flags(selected.changed).items() if uid < row.uid_next}
            await self._changed(session, known_ones)
        if row.uid_next > 1:
            moved = selected.highest_modseq != row.modseq
            if selected.highest_modseq is None or row.modseq is None:
                await self._compare_flags(session)
            elif moved and not (selected.vanished or selected.changed):
                # This includes a server that accepted the QRESYNC parameters and ignored them.
                await self._ask_for_changes(session, row.uid_next, row.modseq)
            known = mailboxes.count(self._store.reader, row.id)
            grown = selected.uid_next != row.uid_next
            if known > selected.exists or (not told if grown else known < selected.exists):
                await self._compare_uids(session)
        if selected.highest_modseq != row.modseq:
            modseq = selected.highest_modseq
            await self._store.commit(lambda tx: mailboxes.set_modseq(tx, row.id, modseq))
            await self.reload()

    async def _compare_flags(self, session: ImapSession) -> None:
        known = mailboxes.uids(self._store.reader, self.row.id)
        at = 0
        while at < len(known):
            found, at = await self._ask(session, known, at)
            await self._changed(session, _flags(found))

    async def _ask_for_changes(self, session: ImapSession, uid_next: int, modseq: int) -> None:
        care, numbers = self._arrivals.care, ((1, uid_next - 1),)
        if care.may_ask(self.row.id, 0, CHANGES):
            try:
                with care.asking(session, self.row.id, 0, 0, CHANGES, PATIENCE):
                    changed = await session.fetch(numbers, ("UID", "FLAGS"), changed_since=modseq)
            except CommandRefused as error:
                log.warning("changes in %s cannot be reported: %s", self.path, error)
            else:
                await self._changed(session, _flags(changed))
                return
        await self._compare_flags(session)

    async def _ask(
        self, session: ImapSession, uids: array[int], at: int, question: str = FLAGS
    ) -> tuple[list[Fetched], int]:
        """Fetch one data item of some messages from index `at` on; return them and the next index.

        Messages for which the server cannot send it are left out. Raises `CommandRefused` if it sends it for none.
        """
        care, mailbox = self._arrivals.care, self.row.id
        self._refused = self._refused if at else 0
        if not care.may_ask(mailbox, uids[at], question):
            return [], at + 1
        piece = care.together(mailbox, uids[at : at + CHUNK], question)
        easy = care.easy(mailbox, piece[0], question)
        numbers: Ranges = ((piece[0], piece[-1]),) if easy else ranges(piece)
        patience = PATIENCE if len(piece) > FEW else PATIENCE_FOR_FEW
        try:
            with care.asking(session, mailbox, piece[0], piece[-1], question, patience):
                return await session.fetch(numbers, ("UID", _ITEM[question])), at + len(piece)
        except CommandRefused:
            if len(piece) > 1:
                care.split(mailbox, piece[0], piece[-1], question)
                return [], at
            self._refused += 1
            if self._refused > REFUSED_FLAGS:
                raise
            log.warning("the server does not return the %s of message %d in %s", question, piece[0], self.path)
            return [], at + 1

    async def _compare_uids(self, session: ImapSession) -> bool:
        """Announce removed messages by comparing all UIDs; return whether there are new ones."""
        assert self.row.uid_next is not None
        uids = await self._every_uid(session)
        if not uids and self._exists and not session.pending:
            log.warning("%s has messages, but the server lists none", self.path)
            return False
        there = set(uids)
        known = mailboxes.uids(self._store.reader, self.row.id)
        await self._gone([uid for uid in known if uid not in there])
        self._exists = len(uids)
        told = array("Q", (uid for uid in uids if uid < self.row.uid_next))
        # What waits to be heard is of the numbers before the search, or after it.
        self._uids = None if session.pending else told
        return len(told) < len(uids)

    async def _every_uid(self, session: ImapSession) -> array[int]:
        """The UIDs of all messages, ascending. An empty result is not trusted if the server counted some."""
        if not self._exists:
            return array("Q")
        with within(SEARCH_PATIENCE * self._patience):
            uids = await session.search("ALL")
        if not uids:
            found = await session.fetch((EVERY,), ("UID",))
            uids = array("Q", sorted({each.uid for each in found}))
        return uids

    async def _arrived(self, session: ImapSession, uid_next: int | None, expected: int | None = None) -> int:
        """Announce new messages; return how many there were."""
        row = self.row
        assert row.uid_next is not None
        speaks_in_numbers = self._full and "QRESYNC" not in await session.enable()
        if speaks_in_numbers and self._uids is None:
            if not await self._learn_numbers(session):
                return 0
            expected = None
        elif uid_next == row.uid_next:
            return 0
        taken = await self._arrivals.take(session, row, row.uid_next, expected)
        await self.reload()
        if self._uids is not None and _removes_above(len(self._uids), session.pending):
            # A new one went before it was announced: which number it had is not known.
            self._uids = None
        elif self._uids is not None:
            self._uids.extend(taken.uids)
        if self._full:
            touched = self._arrivals.requested.touched(row.id, taken.uids, self._looked)
            await self._changed(session, taken.flags | dict.fromkeys(touched, UNKNOWN))
        return len(taken.uids)

    async def _learn_numbers(self, session: ImapSession) -> bool:
        """Learn the UID of each sequence number, at a moment when no news of the mailbox is pending.

        Returns whether there are new messages.
        """
        fresh = False
        for _ in range(NUMBERING_TRIES):
            if any(isinstance(each, Fetch) for each in session.take_pending()):
                await self._compare_flags(session)
            fresh = await self._compare_uids(session)
            if not session.pending:
                return fresh
        self._uids = None
        return fresh

    def _known(self, spans: Ranges) -> list[int]:
        return list(mailboxes.uids(self._store.reader, self.row.id, spans))

    async def _changed(
        self, session: ImapSession, flags: dict[int, frozenset[str]], *, unasked: int | None = None
    ) -> None:
        """Announce these flags, which the session shows.

        A report may be as old as the session's last look for news (Courier's sessions remember flags until NOOP). So
        the flags of a message that a request has changed since are fetched again, after such a look. An unsolicited
        report, sent after the mark `unasked` of changes by requests, may even describe the state shortly before that.
        """
        row, journal, requested = self.row, self._journal, self._arrivals.requested
        while True:
            since = self._looked if unasked is None else unasked
            await requested.settled(row.id, flags)
            touched = requested.touched(row.id, flags, since, unasked=unasked is not None)
            stale = [uid for uid in touched if mailboxes.flags(self._store.reader, row.id, uid) != flags[uid]]
            flags = {uid: flags[uid] for uid in flags.keys() - touched}
            if not stale:
                break
            self._looked, unasked = requested.mark, None
            with within(PATIENCE):
                await session.noop()
                found = _flags(await session.fetch(ranges(sorted(stale)), ("UID", "FLAGS")))
            flags |= {uid: found[uid] for uid in found.keys() & stale}
        doubtful = requested.doubtful(row.id, flags)
        for batch in _batches(flags.items()):

            def change(tx: Tx, batch: Sequence[tuple[int, frozenset[str]]] = batch) -> None:
                for uid, new in batch if mailboxes.exists(tx, row.id) else ():
                    source = observed_changes.API if uid in doubtful else None
                    observed_changes.flags_changed(tx, journal, row, uid, new, source, doubtful.get(uid))

            await self._store.commit(change)

    async def _gone(self, uids: Sequence[int], *, quiet: bool = False) -> None:
        row, journal, requested = self.row, self._journal, self._arrivals.requested
        await requested.settled(row.id, uids)
        doubtful = requested.doubtful(row.id, uids)
        for batch in _batches(uids):

            def change(tx: Tx, batch: Sequence[int] = batch) -> None:
                for uid in batch if mailboxes.exists(tx, row.id) else ():
                    if quiet:
                        mailboxes.remove(tx, row.id, uid)
                    else:
                        concerned = doubtful.get(uid, ())
                        source = observed_changes.API if concerned is None or GONE in concerned else None
                        observed_changes.message_gone(tx, journal, row, uid, source)

            await self._store.commit(change)

    async def reload(self, mailbox: int | None = None) -> None:
        """Reload the stored position; `mailbox`: switch to this row first."""
        row = mailboxes.get(self._store.reader, mailbox or self.row.id)
        if row is not None:
            self.row = row


def _removes_above(known: int, news: Sequence[Untagged]) -> bool:
    """Whether messages were removed whose sequence numbers are above those of the `known` first ones."""
    for each in news:
        if isinstance(each, Expunge):
            if each.number > known:
                return True
            known -= 1
    return False


def _flags(messages: Iterable[Fetched]) -> dict[int, frozenset[str]]:
    return {each.uid: each.flags for each in messages if each.flags is not None}


def _batches(items: Iterable[Item]) -> Iterable[Sequence[Item]]:
    several = list(items)
    return (several[start : start + CHUNK] for start in range(0, len(several), CHUNK))
