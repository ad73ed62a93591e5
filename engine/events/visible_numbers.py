"""How far the journal reaches, as far as a caller may know.

Events of all accounts share one sequence, so the newest number would reveal how much happens in other accounts. A token
for one account therefore sees only the numbers of that account's own events; for it the journal ends at the last of
them.
"""

from __future__ import annotations

import sqlite3

from engine.errors import Problem
from engine.events.journal import Journal
from engine.store import events


class VisibleNumbers:
    """The journal as seen with a token for this account; None: for all accounts."""

    def __init__(self, journal: Journal, db: sqlite3.Connection, account: str | None) -> None:
        self._journal = journal
        self._db = db
        self._account = account

    @property
    def sees_all(self) -> bool:
        """Whether the caller may see every number."""
        return self._account is None

    @property
    def last(self) -> int:
        """The newest number that the caller may see."""
        return self.seen(self._journal.last)

    def seen(self, position: int) -> int:
        """A journal position as the caller may see it: the number of its newest event up to there."""
        if self._account is None:
            return position
        newest = events.newest(self._db, self._account, position)
        # Below the first stored number the caller may have had events that retention removed, so allow cursors there.
        return max(newest, min(position, self._journal.first - 1))

    def start(self, position: int) -> int:
        """Where to start reading above a position: just before the caller's next event."""
        if self._account is None:
            return position
        following = events.following(self._db, self._account, position)
        return max(position, self._journal.last if following is None else following - 1)

    def refuse_ahead(self, position: int) -> None:
        """Raise `Problem` 400 for a number that does not exist yet.

        The caller's number then comes from another journal, or this one was restored from a backup.
        """
        newest = self.last
        if position > newest:
            raise Problem(400, "Cursor is ahead of the journal", code="FutureCursor", last=newest)
