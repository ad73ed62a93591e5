"""What a new list of the server's mailboxes changes about the stored ones: compared first, then written in one commit.

A mailbox that is missing is gone only once a second list does not name it either, and its row is kept for a while:
servers forget a mailbox for a moment. One that is listed but not to be watched any more is forgotten without an event.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from engine.accounts import observed_changes
from engine.events.journal import Journal
from engine.imap.mailboxes import Mailbox
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Tx

INBOX_PATH = "INBOX"


class ListedChanges(msgspec.Struct, frozen=True):
    """What differs. `rows`: the stored mailboxes by path; `missed`: the paths of those the list does not name.

    `used_otherwise`: listed with another special use. `renamed`: the same mailbox under another spelling of its path.
    `dropped`: not to be watched any more, or gone for long. `kept`: gone, but a row is there in case they come back.
    """

    rows: dict[str, MailboxRow]
    missed: frozenset[str]
    new: list[Mailbox]
    used_otherwise: list[Mailbox]
    renamed: list[tuple[str, MailboxRow]]
    gone: list[MailboxRow]
    dropped: list[MailboxRow]
    kept: dict[str, MailboxRow]

    def __bool__(self) -> bool:
        return bool(self.new or self.used_otherwise or self.renamed or self.gone or self.dropped)


def one_path(path: str) -> str:
    """A path as it is kept: INBOX has one name, however it is written (RFC 9051 section 5.1)."""
    return INBOX_PATH if path.upper() == INBOX_PATH else path


def compare(
    stored: Sequence[MailboxRow],
    found: Sequence[Mailbox],
    listed: Collection[str],
    *,
    missed: frozenset[str],
    gone: Sequence[MailboxRow],
    long_gone: Sequence[MailboxRow],
) -> ListedChanges:
    """What is to be written, where `found` are to be watched of the mailboxes `listed`.

    `missed` are the paths that the list before did not name; `gone` are the mailboxes that went earlier, of which those
    `long_gone` are kept no longer.
    """
    rows = {one_path(row.path): row for row in stored}
    watched = {each.path for each in found}
    now_missed = frozenset(rows.keys() - set(listed))
    return ListedChanges(
        rows=rows,
        missed=now_missed,
        new=[each for each in found if each.path not in rows],
        used_otherwise=[
            each for each in found if each.path in rows and rows[each.path].special_use != each.special_use
        ],
        renamed=[(path, row) for path, row in rows.items() if path != row.path],
        gone=[rows[path] for path in now_missed & missed],
        dropped=[*(row for path, row in rows.items() if path not in now_missed | watched), *long_gone],
        kept={row.path: row for row in gone if row not in long_gone},
    )


def write(
    tx: Tx,
    changes: ListedChanges,
    account: str,
    validities: Mapping[str, int | None],
    names: Mapping[str, str],
    journal: Journal,
    now: float,
) -> None:
    """Write the changes and tell of them.

    `validities` holds the UIDVALIDITY of each new mailbox, by path; none where this is the first list ever: then
    nothing is told of them. `names` are what mailboxes were last called.
    """
    for row in changes.dropped:
        mailboxes.drop(tx, row.id)
    for path, row in changes.renamed:
        mailboxes.rename(tx, row.id, path)
    for row in changes.gone:
        observed_changes.mailbox_deleted(tx, journal, row, names.get(row.path, row.path.rpartition("/")[2]), now)
    for each in changes.used_otherwise:
        mailboxes.mark_use(tx, changes.rows[each.path].id, each.special_use)
    for each in changes.new:
        _add(tx, each, account, changes.kept.get(each.path), validities.get(each.path))
        if changes.rows:
            observed_changes.mailbox_new(tx, journal, account, each, validities.get(each.path))


def _add(tx: Tx, mailbox: Mailbox, account: str, kept: MailboxRow | None, uid_validity: int | None) -> None:
    """Have a row for a mailbox: the one that was kept, where its UIDs mean what they did."""
    if kept is not None and kept.uid_validity == uid_validity is not None:
        mailboxes.mark_gone(tx, kept.id, None)
        mailboxes.mark_use(tx, kept.id, mailbox.special_use)
        return
    if kept is not None:
        mailboxes.drop(tx, kept.id)
    mailboxes.add(tx, account, mailbox.path, mailbox.special_use)
