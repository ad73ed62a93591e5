"""Which questions about messages a server stumbles over, and how they are put so that one message costs only itself.

A server that cannot read one of its messages refuses the whole FETCH, ends the connection or falls silent. The guilty
one is among those asked for; of these one is asked for next time, then two, four, eight, until it is met alone. What
alone ended the connection is written down, also for the next start, and not asked again. Where nothing is answered any
more, it is not the messages: `stumbled` says so, and the folder as a whole is at fault.
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
"""What changed since a MODSEQ; asked of no message, so its UID is 0."""
TEXT = "text"
REPORT = "report"
PARTS = {
    DESCRIPTION: (BASICS, FLAGS),
    ENVELOPE: (BASICS, FLAGS),
    BASICS: (FLAGS,),
    DATE: (BASICS, FLAGS),
}
"""What a question asks for too."""
ATTEMPTS = {TEXT: 2, REPORT: 2}
"""How often the connection may end over a question about one message; once where a batch with it failed before."""
CUTS = 2
"""The same where the server fell silent, or the line was cut, which may be the line's fault: it must happen again."""
ENDED = "ECONNECTION"
"""The code of a connection that the server closed, with a word or without; those cut on the way have others."""
STRIKES = 8
"""Connections ended in a row, with no batch answered between, after which the mailbox is at fault and no message."""


class _Suspects:
    """The messages from `first` to `last`, one of which is guilty, and how many of them are asked for at once."""

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self.size = 1


class Asked:
    """A question on its way: the messages from `first` to `last`."""

    def __init__(self, mailbox: int, first: int, last: int, question: str, patience: float) -> None:
        self.mailbox = mailbox
        self.first = first
        self.last = last
        self.question = question
        self._patience = patience
        self._scope = trio.CancelScope()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """End the wait when nothing has come for so long. Raises `NetworkError`."""
        self._scope.deadline = trio.current_time() + self._patience
        with self._scope:
            yield
        if self._scope.cancelled_caught:
            raise no_answer(self._patience)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Something has come: the time the block takes is not the server's, and its time begins anew."""
        self._scope.deadline = float("inf")
        yield
        self._scope.deadline = trio.current_time() + self._patience


class UnreadableMessages:
    """What one session's task knows about asking; `stumbled` is told when its connection has ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: Asked | None = None
        self._suspects: dict[tuple[int, str], _Suspects] = {}
        """By mailbox and question."""
        self._strikes: dict[int, int] = {}
        self._cuts: set[tuple[int, int, str]] = set()
        """Questions about one message over which the server fell silent, or the line was cut, once."""
        self._failures: dict[int, dict[tuple[int, str], int]] = {}

    def may_ask(self, mailbox: int, uid: int, question: str) -> bool:
        """Whether the server can be asked this about a message."""
        failures = self._known(mailbox)
        attempts = ATTEMPTS.get(question, 1)
        return not failures or all(
            failures.get((uid, each), 0) < attempts for each in (question, *PARTS.get(question, ()))
        )

    def easy(self, mailbox: int, uid: int, question: str) -> bool:
        """Whether nothing stands against asking this about every message from `uid` on."""
        suspects = self._suspects.get((mailbox, question))
        well = suspects is None or suspects.last < uid
        return well and not any(each >= uid for each, _ in self._known(mailbox))

    def together(self, mailbox: int, uids: array[int], question: str) -> array[int]:
        """How many of these messages, rising and not empty, can be asked about at once: the first of them, or more."""
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
        """The server would not answer for all these messages: one of them is guilty."""
        self._suspects[mailbox, question] = _Suspects(first, last)

    @contextmanager
    def asking(
        self, session: ImapSession, mailbox: int, first: int, last: int, question: str, patience: float
    ) -> Iterator[Asked]:
        """Ask inside the block, over this session, about the messages from `first` to `last`.

        Raises what the block raises, `NetworkError` after `patience` seconds without a word, and `ProtocolError` for an
        answer that cannot be read: then, and when the connection ends, the session is of no use any more.
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
        """The connection has ended. Whether that was over messages which are asked about otherwise next time."""
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
        """Whether a connection ended over one message for the first time, and not as a server ends it."""
        ended = not isinstance(error, NetworkError) or error.code == ENDED
        if ended or ATTEMPTS.get(key[1], 1) >= CUTS or (mailbox, *key) in self._cuts:
            self._cuts.discard((mailbox, *key))
            return False
        self._cuts.add((mailbox, *key))
        return True

    async def give_up(self, mailbox: int, uid: int, question: str) -> None:
        """The server tells nothing of a message: it is not asked this again."""
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
    """The error for a server that is silent."""
    return NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", f"The server did not answer for {seconds:g} s")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `NetworkError` where the block takes longer; the session it used is then of no use any more."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise no_answer(seconds)
