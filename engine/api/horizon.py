"""How far the journal reaches, as a caller may know it.

Numbers are given over all accounts, so the newest one tells how much happens in the others. A token for one account is
shown the numbers of that account's own events instead; everything above the last of them is nothing to it yet.
"""

from __future__ import annotations

from engine.api.context import Context
from engine.errors import Problem
from engine.store import events


def last(context: Context, account: str | None) -> int:
    """The newest number there is for the caller of this account, None for one of all accounts."""
    return seen(context, account, context.services.journal.last)


def seen(context: Context, account: str | None, position: int) -> int:
    """A position in the journal as that caller may know it: the number of its newest event up to there."""
    journal = context.services.journal
    if account is None:
        return position
    newest = events.newest(context.services.store.reader, account, position)
    # What retention took away was its own once: a cursor there is no mistake.
    return max(newest, min(position, journal.first - 1))


def start(context: Context, account: str | None, position: int) -> int:
    """Where to begin to read above a position: just before the caller's next event, whatever lies between."""
    if account is None:
        return position
    following = events.following(context.services.store.reader, account, position)
    return max(position, context.services.journal.last if following is None else following - 1)


def refuse_ahead(context: Context, account: str | None, position: int) -> None:
    """Raise `Problem` 400 for a number that does not exist yet.

    The journal is another one than the caller thinks, or was restored.
    """
    newest = last(context, account)
    if position > newest:
        raise Problem(400, "Cursor is ahead of the journal", code="FutureCursor", last=newest)
