"""How far the journal reaches, as a caller may know it.

Numbers are given over all accounts, so the newest one tells how much happens in the others. A token for one account is
shown the numbers of that account's own events instead; everything above the last of them is nothing to it yet.
"""

from __future__ import annotations

import sqlite3

from engine.errors import Problem
from engine.events.journal import Journal
from engine.store import events


class Horizon:
    """The journal as the caller of this account may know it; None for one of all accounts."""

    def __init__(self, journal: Journal, db: sqlite3.Connection, account: str | None) -> None:
        self._journal = journal
        self._db = db
        self._account = account

    @property
    def last(self) -> int:
        """The newest number there is for the caller."""
        return self.seen(self._journal.last)

    def seen(self, position: int) -> int:
        """A position in the journal as the caller may know it: the number of its newest event up to there."""
        if self._account is None:
            return position
        newest = events.newest(self._db, self._account, position)
        # What retention took away was its own once: a cursor there is no mistake.
        return max(newest, min(position, self._journal.first - 1))

    def start(self, position: int) -> int:
        """Where to begin to read above a position: just before the caller's next event, whatever lies between."""
        if self._account is None:
            return position
        following = events.following(self._db, self._account, position)
        return max(position, self._journal.last if following is None else following - 1)

    def refuse_ahead(self, position: int) -> None:
        """Raise `Problem` 400 for a number that does not exist yet.

        The journal is another one than the caller thinks, or was restored.
        """
        newest = self.last
        if position > newest:
            raise Problem(400, "Cursor is ahead of the journal", code="FutureCursor", last=newest)
