"""Changes messages by request (flags and labels, moves, removals) and announces the result at once.

The folder must be selected for changes. The messages are one batch (`batches`), so that no command is too long for a
server or takes long. The result is fetched from the server, not assumed, and is stored with its events in one commit,
with the API as their source. If the server has UIDPLUS, it reports where messages went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import trio

from engine.accounts.observed_changes import API, flags_changed, message_gone
from engine.accounts.requested_changes_under_way import REMOVAL, Change, MessageChanges
from engine.errors import Problem
from engine.events.journal import Journal
from engine.imap.changer import DELETED
from engine.imap.logins import TEMPORARY_CODES
from engine.imap.session import CommandRefused, Copied, ImapSession
from engine.imap.uid_sets import expanded, portions, ranges, written
from engine.mail.header_reading import fields
from engine.store import mailboxes, requested_arrivals
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Store, Tx

BATCH = 500
"""Maximum messages changed by one command."""
SET_OCTETS = 4_000
"""Maximum octets in the set of their UIDs. Servers accept lines of at least 8,000 octets (RFC 2683 section 3.2.1.5)."""
FOR_GOOD = ("\\Trash", "\\Junk")
"""Special uses of folders from which messages are removed rather than moved to the trash."""
TRASH = "\\Trash"
_MESSAGE_ID = "HEADER.FIELDS (MESSAGE-ID)"


class Marks(NamedTuple):
    """Flags or Gmail's labels to add, to remove, or to set exactly; None: not requested."""

    add: Sequence[str] | None = None
    delete: Sequence[str] | None = None
    set: Sequence[str] | None = None

    @property
    def steps(self) -> list[tuple[str, str, Sequence[str]]]:
        """The steps: the request's member, STORE's operator, and the values. `set` excludes the others."""
        if self.set is not None:
            return [("set", "", self.set)]
        return [
            (name, how, given) for name, how, given in (("add", "+", self.add), ("delete", "-", self.delete)) if given
        ]


Done = dict[str, bool]
"""Whether every message now is as requested, by member of the request."""


def batches(uids: Iterable[int]) -> Iterator[Sequence[int]]:
    """Ascending UIDs, in batches that are changed at once."""
    return (expanded(portion) for portion in portions(uids, BATCH, SET_OCTETS))


class Changer:
    """Changes messages of one account over one session."""

    def __init__(self, session: ImapSession, changes: MessageChanges, store: Store, journal: Journal) -> None:
        self._session = session
        self._changes = changes
        self._store = store
        self._journal = journal

    async def mark(self, row: MailboxRow, uids: Sequence[int], flags: Marks, labels: Marks) -> tuple[Done, Done]:
        """Change flags and labels. Raises `Problem` 400 if the server does not accept them, `CommandRefused`.

        What another request has begun with these messages ends before, so that no older answer than its own is stored.
        """
        session = self._session
        labelled: Done = {}
        refusal: CommandRefused | None = None
        concerned = None if flags.set is not None else {flag.lower() for _, _, given in flags.steps for flag in given}
        with trio.move_on_at(session.deadline):
            await self._changes.settled(row.id, uids)
        with self._changes.changing(row.id, uids, concerned=concerned) as changing:
            await self._changes.keep(self._store, row.account, changing, uids)
            try:
                for _, how, given in flags.steps:
                    await session.store(uids, given, how)
                for name, how, given in labels.steps if "X-GM-EXT-1" in session.capabilities else ():
                    await session.store_labels(uids, given, how)
                    labelled[name] = bool(uids)
            except CommandRefused as error:
                refusal = error
            asked = frozenset(uids)
            found = [one for one in await session.fetch(ranges(uids), ("UID", "FLAGS")) if one.uid in asked]
            now = {one.uid: one.flags for one in found if one.flags is not None}

            def change(tx: Tx) -> None:
                known = now if mailboxes.exists(tx, row.id) else {}
                ours = self._changes.doubtful(row.id, known)  # perhaps of other requests, too
                for uid, told in known.items():
                    flags_changed(tx, self._journal, row, uid, told, API, ours[uid])
                self._changes.finish(tx, changing, mailboxes.unannounced(tx, row.id, known))

            await self._store.commit(change)
        if refusal is not None:
            raise _not_taken(refusal) from refusal
        return {name: _have(name, given, now.values()) for name, _, given in flags.steps}, labelled

    async def move(self, row: MailboxRow, uids: Sequence[int], target: MailboxRow) -> dict[int, int]:
        """Move messages into another folder; return their new UIDs by old UID, as far as the server reports them.

        Raises `Problem` 404 if there is no such folder, `CommandRefused`.
        """
        session = self._session
        exact = session.offers("MOVE") or session.offers("UIDPLUS")
        message_ids = await self._message_ids(uids)
        with self._changes.changing(row.id, uids if exact else None, into=target.id, concerned=REMOVAL) as changing:
            await self._changes.keep(self._store, row.account, changing, uids, message_ids)
            try:
                copied = await session.move(uids, target.path)
            except CommandRefused as error:
                if error.code in ("TRYCREATE", "NONEXISTENT"):
                    raise Problem(404, "Mailbox record was not found", path=target.path) from error
                raise
            told = copied.uids.keys() >= set(uids) and session.offers("MOVE")
            gone = uids if told else await self._gone(uids)
            await self._store.commit(lambda tx: self._note(tx, row, uids, gone, changing, target, copied))
        known = target.uid_validity in (None, copied.uid_validity)
        return copied.uids if known else {}

    async def remove(self, row: MailboxRow, uids: Sequence[int]) -> int:
        """Remove messages permanently; return how many are gone. Raises `CommandRefused`."""
        session = self._session
        exact = session.offers("UIDPLUS")
        with self._changes.changing(row.id, uids if exact else None, concerned=REMOVAL) as changing:
            await self._changes.keep(self._store, row.account, changing, uids)
            await session.store(uids, (DELETED,))
            await session.expunge(uids)
            gone = await self._gone(uids)
            await self._store.commit(lambda tx: self._note(tx, row, uids, gone, changing))
        return len(gone)

    async def _gone(self, uids: Sequence[int]) -> list[int]:
        """Those of the messages that no longer exist."""
        there = set(await self._session.search(f"UID {written(ranges(uids))}"))
        return [uid for uid in uids if uid not in there]

    async def _message_ids(self, uids: Sequence[int]) -> frozenset[str]:
        """Those of the messages, by which they are recognized where they are moved to if the engine crashes."""
        try:
            found = await self._session.fetch(ranges(uids), ("UID", f"BODY.PEEK[{_MESSAGE_ID}]"))
        except CommandRefused:
            return frozenset()
        return frozenset(told for one in found for told in fields(one.header).get("message-id", ()))

    def _note(
        self,
        tx: Tx,
        row: MailboxRow,
        uids: Sequence[int],
        gone: Sequence[int],
        changing: Change,
        target: MailboxRow | None = None,
        copied: Copied | None = None,
    ) -> None:
        for uid in gone if mailboxes.exists(tx, row.id) else ():
            message_gone(tx, self._journal, row, uid, API)
        # Courier may still list what another client's EXPUNGE has removed meanwhile; the watch then sees it go.
        listed = [uid for uid in uids if uid not in frozenset(gone)]
        if target is not None and copied is not None and target.uid_validity in (None, copied.uid_validity):
            requested_arrivals.note(tx, target.id, copied.uids.values())
        self._changes.finish(tx, changing, [*mailboxes.unannounced(tx, row.id, gone), *listed])


def _have(name: str, given: Sequence[str], now: Iterable[frozenset[str]]) -> bool:
    """Whether there are messages and each has these flags, has none of them, or has exactly them."""
    wanted = {flag.lower() for flag in given}
    lowered = [{flag.lower() for flag in flags} - {"\\recent"} for flags in now]
    if name == "add":
        fits = all(wanted <= flags for flags in lowered)
    elif name == "delete":
        fits = all(not wanted & flags for flags in lowered)
    else:
        fits = all(wanted == flags for flags in lowered)
    return bool(lowered) and fits


def _not_taken(error: CommandRefused) -> CommandRefused | Problem:
    if error.code in TEMPORARY_CODES - {"LIMIT"}:
        return error
    said = error.response.partition(" ")[2]  # after the tag
    return Problem(
        400,
        f"The mail server does not take these flags: {said}",
        code=error.code or "CANNOT",
        details={"response": said},
    )
