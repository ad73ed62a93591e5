"""Messages that requests change, so that what the watch hears of them meanwhile is told once and as what it is.

A request changes messages over a connection of its own, and commits what came of it, with its events. Until then the
watch may hear of the same change (`settled`, `arrivals_settled` have it wait), and afterwards it may still hold an
answer from before (`touched` has it ask again). A change of which nobody knows whether it was made, since the
connection broke under it, is left to the watch to see, and still counts as the request's (`doubtful`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import trio

from engine.imap.limits import UID_BITS
from engine.imap.numbers import Ranges, ranges

MAX_UID = 2**UID_BITS
LATE_SECONDS = 5.0
"""For so long after a change a server may still say unasked what was before it."""
DOUBT_SECONDS = 300.0
"""For so long a change that was cut short counts as the request's, once it is seen."""
KEPT = 4_096
"""Changes that are remembered; who asked before all of these asks again for everything."""


class _Change:
    """One change: of some messages of a mailbox, or of all; where they go, if they move."""

    def __init__(self, mailbox: int | None, spans: Ranges | None, into: int | None) -> None:
        self.mailbox = mailbox
        self.spans = spans
        self.into = into
        self.ended = trio.Event()
        self.number = 0
        """Which one to end it was; later ones have higher numbers."""
        self.ended_at = 0.0

    def holds(self, mailbox: int, uid: int) -> bool:
        """Whether it concerns this message."""
        if self.mailbox != mailbox:
            return False
        if self.spans is None:
            return True
        at = bisect_right(self.spans, (uid, MAX_UID)) - 1
        return at >= 0 and self.spans[at][1] >= uid


class MessageChanges:
    """Those of one account."""

    def __init__(self) -> None:
        self._open: list[_Change] = []
        self._ended: deque[_Change] = deque(maxlen=KEPT)
        self._doubtful: deque[_Change] = deque(maxlen=KEPT)
        self._number = 0

    @contextmanager
    def changing(
        self, mailbox: int | None, uids: Collection[int] | None = (), *, into: int | None = None
    ) -> Iterator[None]:
        """Messages are being changed (None: any of the mailbox), or put into another mailbox, or both.

        From the command to the server until what came of it is committed. What the block raises leaves that open.
        """
        change = _Change(mailbox, None if uids is None else ranges(sorted(uids)), into)
        self._open.append(change)
        try:
            yield
        except BaseException:
            self._doubtful.append(change)
            raise
        finally:
            self._open.remove(change)
            self._number += 1
            change.number, change.ended_at = self._number, trio.current_time()
            self._ended.append(change)
            change.ended.set()

    @property
    def mark(self) -> int:
        """Where things stand, for `touched`: to be taken before the server is asked."""
        return self._number

    async def settled(self, mailbox: int, uids: Collection[int]) -> None:
        """Return once none of these messages is being changed; at once where none is."""
        while held := [each for each in self._open if any(each.holds(mailbox, uid) for uid in uids)]:
            await held[0].ended.wait()

    async def arrivals_settled(self, mailbox: int) -> None:
        """Return once what was being put into a mailbox when this was called is there, and noted as a request's."""
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

    def doubtful(self, mailbox: int, uids: Collection[int]) -> frozenset[int]:
        """Those of the messages of which nobody knows whether a request has changed them."""
        late = trio.current_time() - DOUBT_SECONDS
        recent = [each for each in self._doubtful if each.mailbox == mailbox and each.ended_at > late]
        return frozenset(uid for uid in uids if any(each.holds(mailbox, uid) for each in recent))
