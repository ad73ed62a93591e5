"""The folder and the message that a caller means: found, opened, and the same that its id was given out for.

A path leads to a folder that the account watches, or to any other that the server lists; that one is given a number, so
that its messages have ids. An id leads to a message for as long as its folder keeps the UIDVALIDITY under which it was
given out. What cannot be found is a `Problem` 404 in EmailEngine's words.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.accounts.listed_changes import one_path
from engine.accounts.message_ids import Place
from engine.accounts.watch import marked
from engine.errors import Problem
from engine.imap.fetched import Fetched
from engine.imap.logins import TEMPORARY_CODES
from engine.imap.mailboxes import Mailbox
from engine.imap.selection import Selected
from engine.imap.session import CommandRefused, ImapSession
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Store, Tx

BASIC = ("UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE")
DESCRIPTION = (*BASIC, "ENVELOPE", "BODYSTRUCTURE")


class Opened(NamedTuple):
    """A folder that is selected now."""

    row: MailboxRow
    selected: Selected


class Locator:
    """Finds the folders and messages of one account. `uses`: special uses by path, as the registration names them."""

    def __init__(self, account: str, store: Store, uses: dict[str, str]) -> None:
        self.account = account
        self._store = store
        self._uses = uses

    async def open(self, session: ImapSession, path: str) -> Opened:
        """Select the folder at a path, or that of a special use (`\\Sent`). Raises `Problem` 404 and 503."""
        row = self._known(path)
        if row is None:
            listed = await self._listed(session, path)
            selected = await self._enter(session, listed.path)
            row = await self._number(listed, selected.uid_validity)
            return Opened(row, selected)
        selected = await self._enter(session, row.path)
        if row.uid_validity not in (None, selected.uid_validity) and selected.uid_validity is not None:
            if row.watched:
                # The round notices it, tells of it, and gives it another number.
                raise Problem(
                    503, "The folder has just been numbered anew", headers={"Retry-After": "2"}, code="NoAvailable"
                )
            row = await self._number_anew(row, selected.uid_validity)
        return Opened(row, selected)

    async def fetch(self, session: ImapSession, place: Place, items: tuple[str, ...]) -> tuple[MailboxRow, Fetched]:
        """Ask for items of the message an id leads to. Raises `Problem` 404, `CommandRefused`."""
        row = mailboxes.of_id(self._store.reader, self.account, place.mailbox)
        if row is None:
            raise no_message()
        spans = ((place.uid, place.uid),)
        for sure in (False, True):
            # What is selected may have stayed behind, so that what seems to be missing is looked for once more.
            held = session.selection is not None and session.selected == row.path and not sure
            selected = await self._enter(session, row.path, uid_validity=None if sure else row.uid_validity)
            if row.uid_validity not in (None, selected.uid_validity):
                raise no_message()
            one = next((each for each in await session.fetch(spans, items) if each.uid == place.uid), None)
            if one is not None and describes(one):
                return row, one
            if not held:
                break
        raise no_message()

    async def describe(
        self, session: ImapSession, place: Place, header: str | None = None, unseen: tuple[str, ...] = ()
    ) -> tuple[MailboxRow, Fetched]:
        """What the server tells of a message, as much as it can; `header` names what of its header. Raises as `fetch`.

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
        """The folder a server lists at this path, or for this special use. Raises `Problem` 404."""
        listed = [marked(each, self._uses) for each in await session.list_mailboxes()]
        wanted = one_path(path)
        for mailbox in listed:
            if one_path(mailbox.path) == wanted and mailbox.selectable:
                return mailbox
        for mailbox in listed:
            if wanted.startswith("\\") and (mailbox.special_use or "").lower() == wanted.lower() and mailbox.selectable:
                return mailbox
        raise no_folder(path)

    async def _enter(self, session: ImapSession, path: str, uid_validity: int | None = None) -> Selected:
        try:
            return await session.enter(path, uid_validity=uid_validity)
        except ValueError as error:
            raise no_folder(path) from error
        except CommandRefused as error:
            if error.code in TEMPORARY_CODES:
                raise
            raise no_folder(path) from error

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


def describes(one: Fetched) -> bool:
    """Whether this is the answer to a question, and not only what a server says of flags unasked."""
    told = (one.size, one.internal_date, one.envelope, one.structure)
    return bool(one.sections or one.decoded_sizes) or any(each is not None for each in told)


def no_folder(path: str) -> Problem:
    """The answer where there is no such folder."""
    return Problem(404, "Mailbox record was not found", path=path)


def no_message() -> Problem:
    """The answer where there is no such message."""
    return Problem(404, "Requested message was not found", code="MessageNotFound")
