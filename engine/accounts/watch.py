"""The mailboxes of one account that are watched: which they are, which comes and goes, when each is looked into.

One of them, the main one, stays selected and is listened to; the others are looked into when their STATUS differs from
what is known, once every `resyncDelay`. A mailbox that cannot be opened is left alone until the next round.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import trio

from engine.accounts import changes
from engine.accounts.arrivals import Arrivals
from engine.accounts.folder import STATUS_ITEMS, Folder
from engine.accounts.services import Services
from engine.imap.mailboxes import INBOX, Mailbox
from engine.imap.responses import Untagged
from engine.imap.session import CommandRefused, ImapSession
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Tx

log = logging.getLogger("engine.watch")

GMAIL_USES = ("\\All", "\\Junk", "\\Trash")
"""At Gmail every other folder is a view of what is in these."""


class Watch:
    """`wanted`: paths or special uses to watch, None for all. `elsewhere`: paths another session listens to."""

    def __init__(
        self,
        account: str,
        wanted: Collection[str] | None,
        arrivals: Arrivals,
        services: Services,
        *,
        full: bool = True,
        uses: dict[str, str] | None = None,
        elsewhere: Collection[str] = (),
    ) -> None:
        self._account = account
        self._wanted = None if wanted is None else frozenset(wanted)
        self._arrivals = arrivals
        self._services = services
        self._full = full
        self._uses = uses or {}
        self._elsewhere = frozenset(elsewhere)
        self._folders: dict[str, Folder] = {}
        self._main: Folder | None = None
        self._opened = False
        """Whether the main mailbox was looked into since it became that one."""
        self._next_round = 0.0
        self.sent_path: str | None = None
        """The folder for sent mail; None when the account has none."""

    @property
    def seconds_to_next(self) -> float:
        """Seconds until the folders are due to be looked at again."""
        return max(0.0, self._next_round - trio.current_time())

    def look_soon(self) -> None:
        """Have the next `go_round` come at once."""
        self._next_round = 0.0

    def beside(self, path: str) -> Folder | None:
        """The watched mailbox with this path, unless it is the main one."""
        folder = self._folders.get(path)
        return None if folder is self._main else folder

    async def go_round(self, session: ImapSession, delay: float) -> None:
        """List the mailboxes, announce those that came or went, look into each that changed, end in the main one.

        `delay` is the time in seconds until the next round. Raises what a broken session raises, and `CommandRefused`
        where the main mailbox cannot be opened.
        """
        self._next_round = trio.current_time() + delay
        items = [*STATUS_ITEMS, "HIGHESTMODSEQ"] if "CONDSTORE" in session.capabilities else STATUS_ITEMS
        listed, status = await session.list_with_status(items)
        listed = [self._marked(each) for each in listed]
        named = next((path for path, use in self._uses.items() if use == "\\Sent"), None)
        self.sent_path = named or next((each.path for each in listed if each.special_use == "\\Sent"), None)
        if listed:  # every account has an INBOX: a server that lists nothing has a bad moment
            await self._compare(self._choose(session, listed), {each.path for each in listed}, status)
        main = self._choose_main(session)
        if main is not self._main:
            self._opened = False
        for path, folder in self._folders.items():
            if folder is main or path in self._elsewhere or not folder.differs(status.get(path, {})):
                continue
            try:
                await folder.look(session)
            except (CommandRefused, ValueError) as error:
                log.warning("account %s: %s cannot be opened: %s", self._account, path, error)
        self._main = main
        await self.come_back(session)

    async def come_back(self, session: ImapSession) -> None:
        """Be in the main mailbox again, if a look elsewhere or a job has selected another one."""
        main = self._main
        if main is None:
            if session.selected is None:
                await session.select("INBOX", read_only=True)  # nothing to watch, but only a selected mailbox can idle
        elif session.selected != main.path or not self._opened:
            await main.look(session)
            self._opened = True

    async def hear(self, session: ImapSession, news: Sequence[Untagged]) -> None:
        """Announce what the server said of the main mailbox."""
        if self._main is not None and session.selected == self._main.path:
            await self._main.hear(session, news)

    def _marked(self, mailbox: Mailbox) -> Mailbox:
        """The mailbox with the special use the registration gives it."""
        use = self._uses.get(mailbox.path)
        taken = mailbox.special_use in self._uses.values()
        if use is None and not taken:
            return mailbox
        return Mailbox(
            path=mailbox.path,
            delimiter=mailbox.delimiter,
            flags=mailbox.flags,
            special_use=use,
            special_use_source="user" if use else None,
        )

    def _choose(self, session: ImapSession, listed: list[Mailbox]) -> list[Mailbox]:
        found = [each for each in listed if each.selectable]
        if self._wanted is not None:
            return [each for each in found if {each.path, each.special_use} & self._wanted]
        if "X-GM-EXT-1" in session.capabilities and any(each.special_use == "\\All" for each in found):
            return [each for each in found if each.special_use in GMAIL_USES]
        return found

    def _choose_main(self, session: ImapSession) -> Folder | None:
        uses = ("\\All", INBOX) if "X-GM-EXT-1" in session.capabilities else (INBOX,)
        for use in uses:
            for folder in self._folders.values():
                if folder.mailbox.special_use == use:
                    return folder
        return next(iter(self._folders.values()), None)

    async def _compare(self, found: list[Mailbox], listed: Collection[str], status: dict[str, dict[str, int]]) -> None:
        """Bring the stored mailboxes in line with those to watch; announced unless this is the first listing ever.

        One that is still listed but not to be watched any more is forgotten without an event.
        """
        account, journal = self._account, self._services.journal
        stored = {row.path: row for row in mailboxes.of_account(self._services.store.reader, account)}
        gone = [row for path, row in stored.items() if path not in {each.path for each in found}]
        new = [each for each in found if each.path not in stored]
        moved = [each for each in found if each.path in stored and stored[each.path].special_use != each.special_use]
        if gone or new or moved:

            def change(tx: Tx) -> None:
                for row in gone:
                    if row.path in listed:
                        mailboxes.drop(tx, row.id)
                        continue
                    known = self._folders.get(row.path)
                    name = known.mailbox.name if known is not None else row.path.rpartition("/")[2]
                    changes.mailbox_deleted(tx, journal, row, name)
                for each in moved:
                    mailboxes.mark_use(tx, stored[each.path].id, each.special_use)
                for each in new:
                    mailboxes.add(tx, account, each.path, each.special_use)
                    if stored:
                        changes.mailbox_new(tx, journal, account, each, status.get(each.path, {}).get("UIDVALIDITY"))

            await self._services.store.commit(change)
            stored = {each.path: each for each in mailboxes.of_account(self._services.store.reader, account)}
        self._folders = {each.path: self._kept(stored[each.path], each) for each in found}

    def _kept(self, row: MailboxRow, mailbox: Mailbox) -> Folder:
        folder = self._folders.get(mailbox.path)
        if folder is not None and folder.row.id == row.id and folder.row.special_use == row.special_use:
            return folder
        return Folder(row, mailbox, self._arrivals, self._services, full=self._full)
