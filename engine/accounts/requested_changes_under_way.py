"""Messages that requests change, so that the watch announces each of these changes once and with the right source.

A request changes messages over its own connection and commits the result with its events. Until then the watch may
observe the same change, and has to wait (`settled`, `arrivals_settled`). Afterwards it may still have an older answer,
and has to ask again (`touched`). What the watch observes itself still counts as the request's (`doubtful`, `arriving`)
if the connection broke during the change, so that it is unknown whether it was made, and if the request changed or
removed a message that was not announced yet. It counts so after a crash, too: a change is kept on disk (`keep`) from
before its command is sent until its result is stored (`finish`), and for unannounced messages for as long as it counts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import trio

from engine.imap.limits import UID_BITS
from engine.imap.uid_sets import Ranges, ranges
from engine.store import unfinished_changes
from engine.store.unfinished_changes import Unfinished
from engine.store.writer import Store, Tx

MAX_UID = 2**UID_BITS
LATE_SECONDS = 5.0
"""Seconds after a change in which an unsolicited report may still describe the state before it."""
DOUBT_SECONDS = 300.0
"""Seconds for which an interrupted change, once observed, counts as the request's."""
GONE = "the message itself"
"""Stands beside flags for the message, which a change may remove; no flag has a space."""
REMOVAL = frozenset({GONE, "\\deleted"})
"""What the removal of messages concerns."""
KEPT = 4_096
"""Maximum changes that are remembered; with an older mark, everything has to be fetched again."""


class Change:
    """One change of some or all messages of a mailbox, and their target mailbox if they are moved.

    `concerned` are the flags it may change (lower case), and `GONE` if it may remove the messages; None: any.
    """

    def __init__(
        self, mailbox: int | None, spans: Ranges | None, into: int | None, concerned: Collection[str] | None
    ) -> None:
        self.mailbox = mailbox
        self.spans = spans
        self.into = into
        self.concerned = concerned
        self.ended = trio.Event()
        self.number = 0
        """Its number in the order in which changes ended."""
        self.ended_at = 0.0
        self.message_ids: Collection[str] = ()
        """Those of the messages that it puts `into` a mailbox, as far as they are known."""
        self.stored: int | None = None
        """Its number in the store, while it is kept there."""

    def holds(self, mailbox: int, uid: int) -> bool:
        """Whether it concerns this message."""
        if self.mailbox != mailbox:
            return False
        if self.spans is None:
            return True
        at = bisect_right(self.spans, (uid, MAX_UID)) - 1
        return at >= 0 and self.spans[at][1] >= uid


class MessageChanges:
    """The changes of one account's messages."""

    def __init__(self) -> None:
        self._open: list[Change] = []
        self._ended: deque[Change] = deque(maxlen=KEPT)
        self._doubtful: deque[Change] = deque(maxlen=KEPT)
        self._number = 0
        self._recalled: list[Change] = []
        """Those of an engine that ended before it stored their result, until every folder has been looked into."""
        self._void: set[int] = set()
        """Numbers of changes in the store that no longer matter."""

    def recall(self, left: Mapping[int, Unfinished | None]) -> None:
        """Take what is left in the store of an engine that has crashed: whether it was made is unknown."""
        for number, each in left.items():
            if each is None:
                self._void.add(number)
            if each is None or each.paths:
                continue
            change = Change(each.mailbox, each.spans, each.into, each.concerned)
            change.message_ids, change.stored, change.ended_at = each.message_ids, number, math.inf
            self._recalled.append(change)
            self._doubt(change)

    async def keep(
        self, store: Store, account: str, change: Change, uids: Collection[int], message_ids: Collection[str] = ()
    ) -> None:
        """Keep a change of these messages on disk until `finish`; call it before the server is asked for anything.

        `message_ids`: those of the messages that it puts into another mailbox.
        """
        change.message_ids = message_ids
        kept = _kept(change, uids)
        void = frozenset(self._void)

        def write(tx: Tx) -> int:
            unfinished_changes.remove(tx, void)
            return unfinished_changes.add(tx, account, kept)

        change.stored = await store.commit(write)
        self._void -= void

    def finish(self, tx: Tx, change: Change, unannounced: Collection[int] = ()) -> None:
        """The result is stored with this commit.

        `unannounced`: those of its messages that the watch may announce as they were before, and then see changed.
        """
        if unannounced and change.mailbox is not None:
            left = Change(change.mailbox, ranges(sorted(unannounced)), None, change.concerned)
            left.stored, left.ended_at = change.stored, trio.current_time()
            self._doubt(left)
            if left.stored is not None:
                unfinished_changes.replace(tx, left.stored, _kept(left, unannounced))
        elif change.stored is not None:
            unfinished_changes.remove(tx, (change.stored,))

    async def looked_into_all(self, store: Store) -> None:
        """Every folder has been looked into: what was recalled before has been observed, or has not been made."""
        now = trio.current_time()
        for each in self._recalled:
            each.ended_at = now
        self._recalled = []
        for each in self._doubtful:
            if each.stored is not None and each.ended_at + DOUBT_SECONDS < now:
                self._void.add(each.stored)
                each.stored = None
        if void := frozenset(self._void):
            await store.commit(lambda tx: unfinished_changes.remove(tx, void))
            self._void -= void

    @contextmanager
    def changing(
        self,
        mailbox: int | None,
        uids: Collection[int] | None = (),
        *,
        into: int | None = None,
        concerned: Collection[str] | None = None,
    ) -> Iterator[Change]:
        """Wrap a change of messages (None: any of the mailbox), or their move or copy `into` a mailbox, or both.

        `concerned` is as in `Change`.

        It lasts from the command to the server until the result is committed. If the block raises, the result is
        unknown.
        """
        change = Change(mailbox, None if uids is None else ranges(sorted(uids)), into, concerned)
        self._open.append(change)
        try:
            yield change
        except BaseException:
            self._doubt(change)
            raise
        finally:
            self._open.remove(change)
            self._number += 1
            change.number, change.ended_at = self._number, trio.current_time()
            self._ended.append(change)
            change.ended.set()

    @property
    def mark(self) -> int:
        """The current position, for `touched`; take it before the server is asked."""
        return self._number

    async def settled(self, mailbox: int, uids: Collection[int]) -> None:
        """Wait until none of these messages is being changed."""
        while held := [each for each in self._open if any(each.holds(mailbox, uid) for uid in uids)]:
            await held[0].ended.wait()

    async def arrivals_settled(self, mailbox: int) -> None:
        """Wait until the messages now being put into a mailbox are there, and recorded as a request's."""
        for change in [each for each in self._open if each.into == mailbox]:
            await change.ended.wait()

    def touched(self, mailbox: int, uids: Collection[int], since: int, *, unasked: bool = False) -> list[int]:
        """Those of the messages that may have been changed since `mark` was `since`; `unasked`: or just before it."""
        if self._number - since >= KEPT:
            return list(uids)
        late = trio.current_time() - LATE_SECONDS if unasked else math.inf
        recent = [
            each for each in self._ended if each.mailbox == mailbox and (each.number > since or each.ended_at > late)
        ]
        return [uid for uid in uids if any(each.holds(mailbox, uid) for each in recent)] if recent else []

    def doubtful(self, mailbox: int, uids: Collection[int]) -> dict[int, Collection[str] | None]:
        """Those of the messages whose observed change counts as a request's, and what of them; None: any change.

        These are the messages that are being changed, too.
        """
        late = trio.current_time() - DOUBT_SECONDS
        recent = [each for each in self._doubtful if each.mailbox == mailbox and each.ended_at > late]
        recent += [each for each in self._open if each.mailbox == mailbox]
        found: dict[int, Collection[str] | None] = {}
        for uid in uids if recent else ():
            held = [each.concerned for each in recent if each.holds(mailbox, uid)]
            if held:
                found[uid] = None if None in held else {flag for flags in held for flag in flags or ()}
        return found

    def arriving(self, mailbox: int) -> frozenset[str]:
        """The Message-IDs of messages that count as put into a mailbox by a request if they arrive there."""
        late = trio.current_time() - DOUBT_SECONDS
        recent = [each for each in self._doubtful if each.into == mailbox and each.ended_at > late]
        return frozenset(found for each in recent for found in each.message_ids)

    def _doubt(self, change: Change) -> None:
        if len(self._doubtful) == KEPT and (oldest := self._doubtful[0].stored) is not None:
            self._void.add(oldest)
        self._doubtful.append(change)


def _kept(change: Change, uids: Collection[int]) -> Unfinished:
    """What is kept on disk of a change, which concerns these messages."""
    concerned = None if change.concerned is None else tuple(sorted(change.concerned))
    return Unfinished(change.mailbox, ranges(sorted(uids)), concerned, change.into, tuple(change.message_ids))
