"""Messages that requests have put into watched mailboxes and that have not been announced yet.

They are stored in the commit that records the request, and removed in the commit that announces them.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.store.writer import Tx


def note(tx: Tx, mailbox: int, uids: Iterable[int]) -> None:
    """Note messages that a request has put into a mailbox, as far as they will be announced at all."""
    tx.executemany(
        "INSERT OR IGNORE INTO mailbox_requested (mailbox, uid) SELECT id, ?2 FROM mailbox"
        " WHERE id = ?1 AND watched AND ?2 >= coalesce(uid_next, 0)",
        [(mailbox, uid) for uid in uids],
    )


def take(tx: Tx, mailbox: int, last: int) -> frozenset[int]:
    """Remove and return the UIDs up to `last`."""
    found = tx.execute("SELECT uid FROM mailbox_requested WHERE mailbox = ? AND uid <= ?", (mailbox, last)).fetchall()
    if found:
        tx.execute("DELETE FROM mailbox_requested WHERE mailbox = ? AND uid <= ?", (mailbox, last))
    return frozenset(uid for (uid,) in found)
