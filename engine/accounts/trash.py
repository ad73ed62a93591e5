"""Where deleted messages go: the account's Trash, or nowhere."""

from __future__ import annotations

from engine.accounts.message_lookup import Locator
from engine.accounts.requested_changes import FOR_GOOD, TRASH
from engine.errors import Problem
from engine.imap.session import ImapSession
from engine.store.mailboxes import MailboxRow


async def trash_of(locator: Locator, session: ImapSession, row: MailboxRow, *, force: bool) -> MailboxRow | None:
    """The folder to which deleted messages of this one are moved; None: they are removed permanently."""
    if force or row.special_use in FOR_GOOD:
        return None
    try:
        trash = await locator.target(session, TRASH)
    except Problem as error:
        if error.status != 404:
            raise
        return None
    return None if trash.id == row.id else trash
