"""Announces changes of mailboxes and messages by compare-and-set: there is an event only if the store changed.

Each function works inside the caller's transaction and announces nothing twice, however often it is called.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from engine.accounts import message_ids
from engine.events.journal import Journal
from engine.imap.mailboxes import Mailbox
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Tx

API = "api"
"""The source of changes requested through the API."""


def flags_changed(
    tx: Tx,
    journal: Journal,
    row: MailboxRow,
    uid: int,
    flags: frozenset[str],
    source: str | None = None,
    concerned: Collection[str] | None = None,
) -> None:
    """A message has these flags: `messageUpdated` if it had others.

    `source` is what gave them to it, unless none of the flags that it `concerned` (lower case; None: all) differs.
    """
    old = mailboxes.change_flags(tx, row.id, uid, flags)
    if old is None:
        return
    if concerned is not None and not any(flag.lower() in concerned for flag in flags ^ old):
        source = None
    shown: dict[str, Any] = {}
    if added := sorted(flags - old):
        shown["added"] = added
    if deleted := sorted(old - flags):
        shown["deleted"] = deleted
    shown["value"] = sorted(flags)
    data = _sourced({**_message(row, uid), "changes": {"flags": shown}}, source)
    journal.append(tx, "messageUpdated", row.account, data, scope(row))


def message_gone(tx: Tx, journal: Journal, row: MailboxRow, uid: int, source: str | None = None) -> bool:
    """A message is no longer in its mailbox: `messageDeleted` if it was known, which is returned.

    `source` is what removed it.
    """
    known = mailboxes.remove(tx, row.id, uid)
    if known:
        journal.append(tx, "messageDeleted", row.account, _sourced(_message(row, uid), source), scope(row))
    return known


def mailbox_new(
    tx: Tx,
    journal: Journal,
    account: str,
    mailbox: Mailbox,
    uid_validity: int | None,
    *,
    source: str | None = None,
) -> None:
    """Observe a mailbox to watch: `mailboxNew` if it was not watched before.

    A mailbox that returns with the same UIDVALIDITY continues where it was. `source` is what created it.
    """
    before = mailboxes.at_path(tx, account, mailbox.path)
    if before is not None and before.watched:
        return
    back = mailboxes.gone_at_path(tx, account, mailbox.path)
    if back is not None and back.uid_validity == uid_validity is not None:
        mailboxes.mark_gone(tx, back.id, None)
        mailboxes.mark_use(tx, back.id, mailbox.special_use)
        mailboxes.mark_delimiter(tx, back.id, mailbox.delimiter)
    else:
        if back is not None:
            mailboxes.drop(tx, back.id)
        new = mailboxes.add(tx, account, mailbox.path, mailbox.special_use)
        mailboxes.mark_delimiter(tx, new, mailbox.delimiter)
        if mailbox.mailbox_id is not None:
            mailboxes.mark_mailbox_id(tx, new, mailbox.mailbox_id)
    journal.append(tx, "mailboxNew", account, _appeared(mailbox, uid_validity, source), _where(mailbox))


def mailbox_deleted(
    tx: Tx, journal: Journal, row: MailboxRow, name: str, now: float, source: str | None = None
) -> None:
    """Observe that a mailbox is no longer listed; its row is kept for a while. `source` is what removed it."""
    if mailboxes.mark_gone(tx, row.id, now):
        journal.append(tx, "mailboxDeleted", row.account, _sourced(_mailbox(row, name), source), scope(row))


def mailbox_renamed(
    tx: Tx, journal: Journal, row: MailboxRow, mailbox: Mailbox, name: str, uid_validity: int | None, source: str | None
) -> None:
    """Observe a new path of a mailbox: announced as one deleted and one new, while its messages stay known."""
    gone = _sourced({**_mailbox(row, name), "renamedTo": mailbox.path}, source)
    journal.append(tx, "mailboxDeleted", row.account, gone, scope(row))
    for other in (
        mailboxes.at_path(tx, row.account, mailbox.path),
        mailboxes.gone_at_path(tx, row.account, mailbox.path),
    ):
        if other is not None:
            mailboxes.drop(tx, other.id)
    mailboxes.rename(tx, row.id, mailbox.path)
    mailboxes.mark_use(tx, row.id, mailbox.special_use)
    data = {**_appeared(mailbox, uid_validity, source), "renamedFrom": row.path}
    journal.append(tx, "mailboxNew", row.account, data, _where(mailbox))


def mailbox_reset(tx: Tx, journal: Journal, row: MailboxRow, name: str, uid_validity: int) -> None:
    """Observe that every UID of a mailbox is void; its current messages are not announced."""
    before = str(row.uid_validity) if row.uid_validity is not None else False
    data = {
        **_mailbox(row, name),
        "uidValidity": str(uid_validity),
        "prevUidValidity": before,
        "reason": "uidValidityChange",
    }
    journal.append(tx, "mailboxReset", row.account, data, scope(row))


def scope(row: MailboxRow) -> dict[str, str]:
    """The mailbox of an event, as members next to its account."""
    return {"path": row.path} | ({"specialUse": row.special_use} if row.special_use is not None else {})


def _appeared(mailbox: Mailbox, uid_validity: int | None, source: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {"path": mailbox.path, "name": mailbox.name, "specialUse": mailbox.special_use or False}
    if uid_validity is not None:
        data["uidValidity"] = str(uid_validity)
    return _sourced(data, source)


def _where(mailbox: Mailbox) -> dict[str, str]:
    return {"path": mailbox.path} | ({"specialUse": mailbox.special_use} if mailbox.special_use is not None else {})


def _sourced(data: dict[str, Any], source: str | None) -> dict[str, Any]:
    return data if source is None else {**data, "source": source}


def _mailbox(row: MailboxRow, name: str) -> dict[str, Any]:
    return {"path": row.path, "name": name, "specialUse": row.special_use or False}


def _message(row: MailboxRow, uid: int) -> dict[str, Any]:
    data: dict[str, Any] = {"id": message_ids.message_id(row.id, uid), "uid": uid, "path": row.path}
    if row.special_use is not None:
        data["specialUse"] = row.special_use
    return data
