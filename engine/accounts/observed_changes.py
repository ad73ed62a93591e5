"""Changes of mailboxes and messages, told by comparing and setting: an event exists only where the store changed.

Each function works inside the caller's transaction and says nothing twice, however often it is called.
"""

from __future__ import annotations

from typing import Any

from engine.accounts import message_ids
from engine.events.journal import Journal
from engine.imap.mailboxes import Mailbox
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Tx


def flags_changed(tx: Tx, journal: Journal, row: MailboxRow, uid: int, flags: frozenset[str]) -> None:
    """A message has these flags: `messageUpdated` if it had others."""
    old = mailboxes.change_flags(tx, row.id, uid, flags)
    if old is None:
        return
    shown: dict[str, Any] = {}
    if added := sorted(flags - old):
        shown["added"] = added
    if deleted := sorted(old - flags):
        shown["deleted"] = deleted
    shown["value"] = sorted(flags)
    data = {**_message(row, uid), "changes": {"flags": shown}}
    journal.append(tx, "messageUpdated", row.account, data, scope(row))


def message_gone(tx: Tx, journal: Journal, row: MailboxRow, uid: int) -> None:
    """A message is not in its mailbox any more: `messageDeleted` if it was known."""
    if mailboxes.remove(tx, row.id, uid):
        journal.append(tx, "messageDeleted", row.account, _message(row, uid), scope(row))


def mailbox_new(tx: Tx, journal: Journal, account: str, mailbox: Mailbox, uid_validity: int | None) -> None:
    """A mailbox appeared."""
    data: dict[str, Any] = {"path": mailbox.path, "name": mailbox.name, "specialUse": mailbox.special_use or False}
    if uid_validity is not None:
        data["uidValidity"] = str(uid_validity)
    where = {"path": mailbox.path, "specialUse": mailbox.special_use}
    journal.append(tx, "mailboxNew", account, data, {name: value for name, value in where.items() if value})


def mailbox_deleted(tx: Tx, journal: Journal, row: MailboxRow, name: str, now: float) -> None:
    """A mailbox is not listed any more; what is known of it is kept for a while."""
    mailboxes.mark_gone(tx, row.id, now)
    journal.append(tx, "mailboxDeleted", row.account, _mailbox(row, name), scope(row))


def mailbox_reset(tx: Tx, journal: Journal, row: MailboxRow, name: str, uid_validity: int) -> None:
    """Every UID of a mailbox became void; what is in it now is not announced."""
    before = str(row.uid_validity) if row.uid_validity is not None else False
    data = {
        **_mailbox(row, name),
        "uidValidity": str(uid_validity),
        "prevUidValidity": before,
        "reason": "uidValidityChange",
    }
    journal.append(tx, "mailboxReset", row.account, data, scope(row))


def scope(row: MailboxRow) -> dict[str, str]:
    """Where an event happened, as it stands beside its account."""
    return {"path": row.path} | ({"specialUse": row.special_use} if row.special_use is not None else {})


def _mailbox(row: MailboxRow, name: str) -> dict[str, Any]:
    return {"path": row.path, "name": name, "specialUse": row.special_use or False}


def _message(row: MailboxRow, uid: int) -> dict[str, Any]:
    data: dict[str, Any] = {"id": message_ids.message_id(row.id, uid), "uid": uid, "path": row.path}
    if row.special_use is not None:
        data["specialUse"] = row.special_use
    return data
