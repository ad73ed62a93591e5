"""Compares a new list of the server's mailboxes with the stored ones, and writes the differences in one commit.

A missing mailbox counts as gone only if a second list lacks it too, and its row is kept for a while, since servers
sometimes omit a mailbox briefly. A listed mailbox that is no longer to be watched is removed without an event.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from engine.accounts import observed_changes
from engine.accounts.folder_requests_under_way import FolderChanges
from engine.events.journal import Journal
from engine.imap.mailboxes import Mailbox
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Tx

INBOX_PATH = "INBOX"


class ListedChanges(msgspec.Struct, frozen=True):
    """The differences. `rows`: the stored mailboxes by path; `missed`: the paths of those missing from the list.

    `otherwise`: listed with another special use or delimiter. `renamed`: the same mailbox with another spelling of its
    path. `moved`: the server proves that it has another path now (RFC 8474). `dropped`: no longer to be watched, or
    gone for long.
    """

    rows: dict[str, MailboxRow]
    missed: frozenset[str]
    new: list[Mailbox]
    otherwise: list[Mailbox]
    renamed: list[tuple[str, MailboxRow]]
    moved: list[tuple[MailboxRow, Mailbox]]
    gone: list[MailboxRow]
    dropped: list[MailboxRow]

    def __bool__(self) -> bool:
        return bool(self.new or self.otherwise or self.renamed or self.moved or self.gone or self.dropped)


def one_path(path: str) -> str:
    """A path as stored: INBOX has one spelling, however the server writes it (RFC 9051 section 5.1)."""
    return INBOX_PATH if path.upper() == INBOX_PATH else path


def compare(
    stored: Sequence[MailboxRow],
    found: Sequence[Mailbox],
    listed: Collection[str],
    *,
    missed: frozenset[str],
    long_gone: Sequence[MailboxRow],
) -> ListedChanges:
    """What to write if the mailboxes `found`, of all those `listed`, are to be watched.

    `missed` are the paths missing from the previous list; `long_gone` are mailboxes gone for so long that their rows
    are to be removed.
    """
    rows = {one_path(row.path): row for row in stored}
    watched = {each.path for each in found}
    now_missed = frozenset(rows.keys() - set(listed))
    lost = {row.mailbox_id: row for path, row in rows.items() if path in now_missed and row.mailbox_id is not None}
    new = [each for each in found if each.path not in rows]
    moved = [(lost.pop(each.mailbox_id), each) for each in new if each.mailbox_id in lost]
    now_missed -= {row.path for row, _ in moved}
    moved_to = {each.path for _, each in moved}
    kept = now_missed | watched | {row.path for row, _ in moved}
    return ListedChanges(
        rows=rows,
        missed=now_missed,
        new=[each for each in new if each.path not in moved_to],
        otherwise=[each for each in found if each.path in rows and _differs(rows[each.path], each)],
        renamed=[(path, row) for path, row in rows.items() if path != row.path],
        moved=moved,
        gone=[rows[path] for path in now_missed & missed],
        dropped=[
            *(row for path, row in rows.items() if path not in kept),
            *long_gone,
        ],
    )


def write(
    tx: Tx,
    changes: ListedChanges,
    account: str,
    validities: Mapping[str, int | None],
    names: Mapping[str, str],
    journal: Journal,
    now: float,
    requested: FolderChanges,
) -> None:
    """Write and announce the changes.

    `validities` are the UIDVALIDITYs of new mailboxes by path. `names` are the last known names by path.
    """

    def source(each: MailboxRow | Mailbox) -> str | None:
        return observed_changes.API if requested.doubtful(each.path, each.delimiter) else None

    for row in changes.dropped:
        mailboxes.drop(tx, row.id)
    for path, row in changes.renamed:
        mailboxes.rename(tx, row.id, path)
    for row, mailbox in changes.moved:
        name = names.get(row.path, row.path.rpartition("/")[2])
        validity = validities.get(mailbox.path)
        observed_changes.mailbox_renamed(tx, journal, row, mailbox, name, validity, source(mailbox))
    for row in changes.gone:
        name = names.get(row.path, row.path.rpartition("/")[2])
        observed_changes.mailbox_deleted(tx, journal, row, name, now, source(row))
    for each in changes.otherwise:
        mailboxes.mark_use(tx, changes.rows[each.path].id, each.special_use)
        mailboxes.mark_delimiter(tx, changes.rows[each.path].id, each.delimiter)
        if each.mailbox_id is not None:
            mailboxes.mark_mailbox_id(tx, changes.rows[each.path].id, each.mailbox_id)
    for each in changes.new:
        observed_changes.mailbox_new(tx, journal, account, each, validities.get(each.path), source=source(each))


def _differs(row: MailboxRow, mailbox: Mailbox) -> bool:
    known = mailbox.mailbox_id if mailbox.mailbox_id is not None else row.mailbox_id
    return (row.special_use, row.delimiter, row.mailbox_id) != (mailbox.special_use, mailbox.delimiter, known)
