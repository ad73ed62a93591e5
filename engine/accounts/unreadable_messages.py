"""Remembers which questions about messages a server fails on, and isolates the message at fault.

1. A server that cannot read one of its messages refuses the whole FETCH, ends the connection or falls silent. The
   message at fault is among those requested.
2. Of these, one is requested next time, then two, four, eight, until the faulty message is requested alone.
3. A question that ends the connection for a single message is stored and not asked again, even after a restart.
4. If nothing at all is answered any more, the fault is not with a message: `stumbled` returns False, and the folder as
   a whole is at fault.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from engine.errors import EngineError, NetworkError, NetworkKind, ProtocolError
from engine.imap.session import CommandRefused, ImapSession
from engine.store import mailboxes
from engine.store.writer import Store

log = logging.getLogger("engine.care")

DESCRIPTION = "description"
ENVELOPE = "envelope"
BASICS = "basics"
FLAGS = "flags"
DATE = "date"
CHANGES = "changes"
"""The changes since a MODSEQ; this question concerns no single message, so its UID is 0."""
TEXT = "text"
REPORT = "report"
PARTS = {
    DESCRIPTION: (BASICS, FLAGS),
    ENVELOPE: (BASICS, FLAGS),
    BASICS: (FLAGS,),
    DATE: (BASICS, FLAGS),
}
"""The other questions that a question includes."""
ATTEMPTS = {TEXT: 2, REPORT: 2}
"""How often the connection may end during a question about one message (default 1: a batch with it failed before)."""
CUTS = 2
"""The same if the server fell silent or the connection broke: that may be the network's fault, so it must recur."""
ENDED = "ECONNECTION"
"""The error code of a connection that the server closed, with or without BYE; broken connections have others."""
STRIKES = 8
"""Consecutive ended connections, without an answered batch in between, after which the mailbox is at fault."""


class _Suspects:
    """The messages from `first` to `last`, one of which is at fault, and how many of them to request at once."""

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self.size = 1


class Asked:
    """A question under way about the messages from `first` to `last`."""

    def __init__(self, mailbox: int, first: int, last: int, question: str, patience: float) -> None:
        self.mailbox = mailbox
        self.first = first
        self.last = last
        self.question = question
        self._patience = patience
        self._scope = trio.CancelScope()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Limit the block to `patience` seconds of silence. Raises `NetworkError`."""
        self._scope.deadline = trio.current_time() + self._patience
        with self._scope:
            yield
        if self._scope.cancelled_caught:
            raise no_answer(self._patience)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Note that something arrived: the block's own time does not count, and the server's time restarts."""
        self._scope.deadline = float("inf")
        yield
        self._scope.deadline = trio.current_time() + self._patience


class UnreadableMessages:
    """What the task of one session knows about questions; call `stumbled` when its connection has ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: Asked | None = None
        self._suspects: dict[tuple[int, str], _Suspects] = {}
        """By mailbox and question."""
        self._strikes: dict[int, int] = {}
        self._cuts: set[tuple[int, int, str]] = set()
        """Questions about one message during which the server fell silent, or the connection broke, once."""
        self._failures: dict[int, dict[tuple[int, str], int]] = {}

    def may_ask(self, mailbox: int, uid: int, question: str) -> bool:
        """Whether the server may be asked this about a message."""
        failures = self._known(mailbox)
        attempts = ATTEMPTS.get(question, 1)
        return not failures or all(
            failures.get((uid, each), 0) < attempts for each in (question, *PARTS.get(question, ()))
        )

    def easy(self, mailbox: int, uid: int, question: str) -> bool:
        """Whether there is no known obstacle to asking this about every message from `uid` on."""
        suspects = self._suspects.get((mailbox, question))
        well = suspects is None or suspects.last < uid
        return well and not any(each >= uid for each, _ in self._known(mailbox))

    def together(self, mailbox: int, uids: array[int], question: str) -> array[int]:
        """The messages at the start of `uids` (ascending, not empty) to ask about at once; at least one."""
        suspects = self._suspects.get((mailbox, question))
        if suspects is not None and uids[0] < suspects.first:
            uids = uids[: bisect_left(uids, suspects.first)]
        elif suspects is not None and uids[0] <= suspects.last:
            uids = uids[: min(suspects.size, bisect_right(uids, suspects.last))]
        for place, uid in enumerate(uids if self._known(mailbox) else ()):
            if not self.may_ask(mailbox, uid, question):
                return uids[: max(place, 1)]
        return uids

    def split(self, mailbox: int, first: int, last: int, question: str) -> None:
        """Note that the server did not answer for all these messages: one of them is at fault."""
        self._suspects[mailbox, question] = _Suspects(first, last)

    @contextmanager
    def asking(
        self, session: ImapSession, mailbox: int, first: int, last: int, question: str, patience: float
    ) -> Iterator[Asked]:
        """Wrap a block that asks, over this session, about the messages from `first` to `last`.

        Raises what the block raises, `NetworkError` after `patience` seconds of silence, and `ProtocolError` for an
        unreadable answer. After these, and after the end of the connection, the session is unusable.
        """
        asked = self._asked = Asked(mailbox, first, last, question, patience)
        try:
            with asked.waiting():
                yield asked
        except CommandRefused:
            self._asked = None
            raise
        except EngineError:
            raise
        except Exception as error:
            if session.usable:
                self._asked = None
                raise
            log.exception("mailbox %d: the answer about messages %d to %d", mailbox, first, last)
            raise ProtocolError("The server sent an answer that the engine cannot read") from error
        self._asked = None
        self._answered(asked)

    async def stumbled(self, error: EngineError) -> bool:
        """Note the end of the connection; return whether messages caused it that will be asked about differently."""
        asked, self._asked = self._asked, None
        if asked is None:
            return False
        mailbox, key = asked.mailbox, (asked.first, asked.question)
        strikes = self._strikes[mailbox] = self._strikes.get(mailbox, 0) + 1
        if strikes > STRIKES:
            return False
        if asked.first != asked.last:
            self.split(mailbox, asked.first, asked.last, asked.question)
        elif not self._may_be_the_line(key, mailbox, error):
            await self._count(mailbox, key, 1)
            if not self.may_ask(mailbox, *key):
                log.warning(
                    "folder %d: the server does not survive a request for the %s of message %d", mailbox, key[1], key[0]
                )
        return True

    def _may_be_the_line(self, key: tuple[int, str], mailbox: int, error: EngineError) -> bool:
        """Whether a connection broke, not closed by the server, for the first time during this question."""
        ended = not isinstance(error, NetworkError) or error.code == ENDED
        if ended or ATTEMPTS.get(key[1], 1) >= CUTS or (mailbox, *key) in self._cuts:
            self._cuts.discard((mailbox, *key))
            return False
        self._cuts.add((mailbox, *key))
        return True

    async def give_up(self, mailbox: int, uid: int, question: str) -> None:
        """Stop asking this about a message, of which the server says nothing."""
        if self.may_ask(mailbox, uid, question):
            await self._count(mailbox, (uid, question), ATTEMPTS.get(question, 1))

    async def _count(self, mailbox: int, key: tuple[int, str], failures: int) -> None:
        known = self._known(mailbox)
        known[key] = known.get(key, 0) + failures
        await self._store.commit(lambda tx: mailboxes.count_failure(tx, mailbox, *key, failures))

    def _answered(self, asked: Asked) -> None:
        mailbox = asked.mailbox
        self._cuts.discard((mailbox, asked.first, asked.question))
        if asked.question in (DESCRIPTION, TEXT, REPORT) or asked.first != asked.last:
            self._strikes.pop(mailbox, None)
        suspects = self._suspects.get((mailbox, asked.question))
        if suspects is not None and suspects.first <= asked.last:
            suspects.first = asked.last + 1
            suspects.size *= 2
            if suspects.first > suspects.last:
                del self._suspects[mailbox, asked.question]

    def _known(self, mailbox: int) -> dict[tuple[int, str], int]:
        if mailbox not in self._failures:
            self._failures[mailbox] = mailboxes.failures(self._store.reader, mailbox)
        return self._failures[mailbox]


def no_answer(seconds: float) -> NetworkError:
    """The error for a silent server."""
    return NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", f"The server did not answer for {seconds:g} s")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `NetworkError` if the block takes longer than `seconds`; the session that it used is then unusable."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise no_answer(seconds)
