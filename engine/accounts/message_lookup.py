"""Finds the folder or message that a caller names, and checks that it is still the one the id was issued for.

A path can name a watched folder, or any other that the server lists; the latter gets a number, so that its messages
have ids. An id is valid as long as its folder keeps the UIDVALIDITY with which the id was issued. What cannot be found
is a `Problem` 404, worded like EmailEngine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from engine.accounts.folder_list_comparison import one_path
from engine.accounts.folder_watch import marked
from engine.accounts.message_ids import Place
from engine.errors import Problem
from engine.imap.fetched import Fetched
from engine.imap.logins import TEMPORARY_CODES
from engine.imap.mailboxes import Mailbox
from engine.imap.selection import Selected
from engine.imap.session import CommandRefused, Glance, ImapSession
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Store, Tx

BASIC = ("UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE")
DESCRIPTION = (*BASIC, "ENVELOPE", "BODYSTRUCTURE")
HIGHEST_UID = 2**32 - 1
"""The highest UID of the protocol (RFC 9051 section 2.3.1.1). Some servers have higher ones; others refuse these."""


Looking: TypeAlias = Callable[[int, int], tuple[int, int] | None]
"""From a folder's number and how many messages it has: the first and last sequence number to look at; None: at none."""


class Opened(NamedTuple):
    """The folder that is now selected, and what a look into it showed on the way."""

    row: MailboxRow
    selected: Selected
    glance: Glance | None = None


class Locator:
    """Finds the folders and messages of one account. `uses`: special uses by path, from the registration.

    `look_soon` is called when a watched folder turns out to be renumbered: it starts the round that announces this.
    """

    def __init__(self, account: str, store: Store, uses: dict[str, str], look_soon: Callable[[], None]) -> None:
        self.account = account
        self._store = store
        self._uses = uses
        self._look_soon = look_soon

    async def open(
        self, session: ImapSession, path: str, *, writable: bool = False, looking: Looking | None = None
    ) -> Opened:
        """Select the folder at a path, or that of a special use (`\\Sent`).

        `looking`: which messages to describe on the way, where that costs no round trip. Raises `Problem` 404, 503 and,
        if it is to be `writable`, 403.
        """
        row = self._known(path)
        if row is None:
            listed = await self._listed(session, path)
            selected = await self._enter(session, listed.path, writable=writable)
            row = await self._number(listed, selected.uid_validity)
            return Opened(row, selected)
        glance = None
        if looking is None:
            selected = await self._enter(session, row.path, writable=writable)
        else:
            selected, glance = await self._look_into(session, row, looking)
        if row.uid_validity not in (None, selected.uid_validity) and selected.uid_validity is not None:
            if row.watched:
                # The round announces this and gives the folder another number.
                self._look_soon()
                raise Problem(
                    503, "The server has just renumbered the folder", headers={"Retry-After": "2"}, code="NoAvailable"
                )
            row = await self._number_anew(row, selected.uid_validity)
        return Opened(row, selected, glance)

    async def target(self, session: ImapSession, path: str) -> MailboxRow:
        """The folder at a path, or that of a special use, which need not be selected. Raises `Problem` 404."""
        row = self._known(path)
        if row is not None:
            return row
        listed = await self._listed(session, path)
        return await self._number(listed, (await session.status(listed.path, ("UIDVALIDITY",))).get("UIDVALIDITY"))

    async def fetch(
        self, session: ImapSession, place: Place, items: tuple[str, ...], *, writable: bool = False
    ) -> tuple[MailboxRow, Fetched]:
        """Ask for items of the message an id leads to. Raises `Problem` 404, `CommandRefused`.

        `writable`: the folder is selected for changes. Raises `Problem` 403 where it cannot be.
        """
        row = mailboxes.of_id(self._store.reader, self.account, place.mailbox)
        if row is None:
            raise no_message()
        spans = ((place.uid, place.uid),)
        for sure in (False, True):
            # The selected state may be out of date, so look once more for a message that seems to be missing.
            held = session.selection is not None and session.selected == row.path and not sure
            validity = None if sure else row.uid_validity
            selected = await self._enter(session, row.path, uid_validity=validity, writable=writable)
            if row.uid_validity not in (None, selected.uid_validity):
                raise no_message()
            try:
                told = await session.fetch(spans, items)
            except CommandRefused as error:
                if place.uid > HIGHEST_UID:
                    raise no_message() from error
                raise
            one = next((each for each in told if each.uid == place.uid), None)
            if one is not None and one.described:
                return row, one
            if not held:
                break
        raise no_message()

    async def describe(
        self, session: ImapSession, place: Place, header: str | None = None, unseen: tuple[str, ...] = ()
    ) -> tuple[MailboxRow, Fetched]:
        """Describe a message as far as the server can; `header` names the part of its header. Raises like `fetch`.

        `unseen` are items for parts that it may have, which spares asking for them once that is known. A server that
        refuses to tell some of it is asked for less.
        """
        wanted = (*DESCRIPTION, *(() if header is None else (f"BODY.PEEK[{header}]",)))
        whole = (*wanted, *session.id_items)
        more = (*whole, *unseen) if session.tells_unseen_parts else whole
        refusal: CommandRefused | None = None
        for items in dict.fromkeys((more, whole, wanted, (*BASIC, "ENVELOPE"), BASIC)):
            try:
                found = await self.fetch(session, place, items)
            except CommandRefused as error:
                if error.code in TEMPORARY_CODES:
                    raise
                refusal = refusal or error
                if items == whole != wanted:
                    session.refuses_ids()
            else:
                if refusal is not None and items == whole:
                    session.refuses_unseen_parts()
                return found
        assert refusal is not None
        raise refusal

    def _known(self, path: str) -> MailboxRow | None:
        reader, path = self._store.reader, one_path(path)
        row = mailboxes.at_path(reader, self.account, path)
        if row is None and path.startswith("\\"):
            rows = mailboxes.of_account(reader, self.account, unwatched=True)
            return next((each for each in rows if (each.special_use or "").lower() == path.lower()), None)
        return row

    async def _listed(self, session: ImapSession, path: str) -> Mailbox:
        """The folder that the server lists at this path, or with this special use. Raises `Problem` 404."""
        listed = [marked(each, self._uses) for each in await session.list_mailboxes()]
        wanted = one_path(path)
        for mailbox in listed:
            if one_path(mailbox.path) == wanted and mailbox.selectable:
                return mailbox
        for mailbox in listed:
            if wanted.startswith("\\") and (mailbox.special_use or "").lower() == wanted.lower() and mailbox.selectable:
                return mailbox
        raise no_folder(path)

    async def _look_into(
        self, session: ImapSession, row: MailboxRow, looking: Looking
    ) -> tuple[Selected, Glance | None]:
        items = (*DESCRIPTION, *session.id_items)
        with _as_no_folder(row.path):
            return await session.enter_looking(row.path, lambda exists: looking(row.id, exists), items)

    async def _enter(
        self, session: ImapSession, path: str, uid_validity: int | None = None, *, writable: bool
    ) -> Selected:
        with _as_no_folder(path):
            selected = await session.enter(path, read_only=not writable, uid_validity=uid_validity)
        if writable and selected.read_only:
            raise Problem(403, "The folder cannot be changed", code="READ-ONLY", path=path)
        return selected

    async def _number(self, mailbox: Mailbox, uid_validity: int | None) -> MailboxRow:
        given = (self.account, one_path(mailbox.path), mailbox.special_use, uid_validity, mailbox.delimiter)
        number = await self._store.commit(lambda tx: mailboxes.add_for_ids(tx, *given))
        row = mailboxes.get(self._store.reader, number)
        assert row is not None
        return row

    async def _number_anew(self, row: MailboxRow, uid_validity: int) -> MailboxRow:
        given = (row.account, row.path, row.special_use, uid_validity, row.delimiter)

        def change(tx: Tx) -> int:
            mailboxes.drop(tx, row.id)
            return mailboxes.add_for_ids(tx, *given)

        number = await self._store.commit(change)
        again = mailboxes.get(self._store.reader, number)
        assert again is not None
        return again


@contextmanager
def _as_no_folder(path: str) -> Iterator[None]:
    """Raise `Problem` 404 where the server does not open a folder."""
    try:
        yield
    except ValueError as error:
        raise no_folder(path) from error
    except CommandRefused as error:
        if error.code in TEMPORARY_CODES:
            raise
        raise no_folder(path) from error


def no_folder(path: str) -> Problem:
    """The answer if there is no such folder."""
    return Problem(404, "Mailbox record was not found", path=path)


def no_message() -> Problem:
    """The answer if there is no such message."""
    return Problem(404, "Requested message was not found", code="MessageNotFound")


def refused(error: CommandRefused) -> Problem:
    """The answer to a mail server's refusal that has no more specific answer."""
    said = error.response.partition(" ")[2]  # after the tag
    if error.code == "BADCHARSET":
        return Problem(422, "The server cannot search for text outside ASCII", code="MissingServerExtension")
    return Problem(
        503,
        f"The mail server refused the command: {said}",
        code=error.code or "CommandFailed",
        details={"response": said},
    )
