"""Stores a message in a folder by request. The server reports its UID, or it is found by its Message-ID."""

from __future__ import annotations

from collections.abc import Sequence

from engine.accounts.requested_changes_under_way import MessageChanges
from engine.imap.session import Appended, CommandRefused, ImapSession
from engine.store import requested_arrivals
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Store, Tx


class Uploader:
    """Stores messages of one account over one session."""

    def __init__(self, session: ImapSession, changes: MessageChanges, store: Store) -> None:
        self._session = session
        self._changes = changes
        self._store = store

    async def upload(
        self,
        target: MailboxRow,
        message: Sequence[bytes],
        message_id: str,
        flags: Sequence[str],
        date: float | None,
    ) -> Appended:
        """Store a message, given in pieces with CRLF line ends; `date` is its INTERNALDATE, None for now.

        Raises `CommandRefused`, and like `append` if the connection breaks; the message may then have been stored.
        """
        with self._changes.changing(None, into=target.id) as changing:
            await self._changes.keep(self._store, target.account, changing, (), (message_id,))
            appended = await self._append(target.path, message, flags, date)
            if appended.uid is None:
                appended = await self._found(target, message_id)
            known = appended.uid is not None and target.uid_validity in (None, appended.uid_validity)
            uids = [appended.uid] if known and appended.uid is not None else []

            def change(tx: Tx) -> None:
                requested_arrivals.note(tx, target.id, uids)
                self._changes.finish(tx, changing)

            await self._store.commit(change)
        return appended

    async def _append(self, path: str, message: Sequence[bytes], flags: Sequence[str], date: float | None) -> Appended:
        session = self._session
        try:
            return await session.append(path, message, flags, date)
        except CommandRefused:
            held = session.selection
            if session.selected != path or held is None or not held.read_only:
                raise
            await session.select(path)  # Courier stores nothing in a mailbox that is selected for reading
        return await session.append(path, message, flags, date)

    async def _found(self, target: MailboxRow, message_id: str) -> Appended:
        """The newest message in the folder with this Message-ID; empty if it cannot be found."""
        try:
            selected = await self._session.select(target.path, read_only=True)
            uids = await self._session.search("HEADER Message-ID", message_id.encode())
        except CommandRefused:
            return Appended(None, None)
        return Appended(selected.uid_validity, uids[-1]) if uids else Appended(None, None)
