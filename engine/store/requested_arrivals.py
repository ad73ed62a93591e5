"""Messages that requests have put into watched mailboxes and nobody has been told of yet.

They are written down in the commit that notes the request, and taken up in the commit that announces them.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.store.writer import Tx


def note(tx: Tx, mailbox: int, uids: Iterable[int]) -> None:
    """Remember who put them there, as far as they will be announced at all."""
    tx.executemany(
        "INSERT OR IGNORE INTO mailbox_requested (mailbox, uid) SELECT id, ?2 FROM mailbox"
        " WHERE id = ?1 AND watched AND ?2 >= coalesce(uid_next, 0)",
        [(mailbox, uid) for uid in uids],
    )


def take(tx: Tx, mailbox: int, last: int) -> frozenset[int]:
    """Those up to the UID `last`, which are forgotten."""
    found = tx.execute("SELECT uid FROM mailbox_requested WHERE mailbox = ? AND uid <= ?", (mailbox, last)).fetchall()
    if found:
        tx.execute("DELETE FROM mailbox_requested WHERE mailbox = ? AND uid <= ?", (mailbox, last))
    return frozenset(uid for (uid,) in found)
