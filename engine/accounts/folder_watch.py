"""The watched mailboxes of one account: which they are, which appear and disappear, and when to look into each.

1. The main mailbox stays selected and is listened to. Each round begins with it, so that no other folder can delay its
   mail. INBOX is watched even if the server does not list it, or not as selectable.
2. The others are looked into every `resyncDelay` if their STATUS differs from what is known. A fault in one of them
   affects only that one: it is skipped for a while (`skipped_folders.py`).
3. A mailbox is gone if two consecutive lists lack it, or list it as not selectable; its row is kept for a week. If it
   returns with the same UIDVALIDITY, watching continues where it was. A failed list changes nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence

import msgspec
import trio

from engine.accounts.arrivals import Arrivals
from engine.accounts.folder_list_comparison import INBOX_PATH, compare, one_path, write
from engine.accounts.folder_requests_under_way import FolderChanges
from engine.accounts.folder_sync import STATUS_ITEMS, WatchedFolder
from engine.accounts.skipped_folders import SkippedFolders
from engine.accounts.unreadable_messages import within
from engine.errors import EngineError, ProtocolError
from engine.events.journal import Journal
from engine.imap.mailboxes import Mailbox
from engine.imap.responses import Untagged
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.special_use import INBOX
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Store
from engine.world import World

log = logging.getLogger("engine.watch")

GMAIL_USES = ("\\All", "\\Junk", "\\Trash")
"""At Gmail every other folder is a view of the messages in these."""
LIST_PATIENCE = 60.0
"""Seconds that a server has for its list of mailboxes."""
LIST_AGAIN = 10.0
"""Seconds after which the list is requested again if a mailbox is missing from it."""
LIST_PAUSE = 3600.0
"""Seconds without a list after a request for one ended the connection."""
GONE_KEPT = 7 * 86_400.0
"""Seconds for which the row of a mailbox is kept after it is gone."""
_EVERY = "every"
_PLAIN = "plain"
_NO_LIST = "no list"


class Watch:
    """`wanted`: paths or special uses to watch, None for all. `elsewhere`: paths that another session listens to.

    `passing`: the mailbox ends with this process, so a new one in its place is not announced.
    """

    def __init__(
        self,
        account: str,
        wanted: Collection[str] | None,
        arrivals: Arrivals,
        store: Store,
        journal: Journal,
        world: World,
        *,
        full: bool = True,
        passing: bool = False,
        uses: dict[str, str] | None = None,
        elsewhere: Collection[str] = (),
        requested: FolderChanges,
    ) -> None:
        self._account = account
        self._wanted = None if wanted is None else frozenset(map(one_path, wanted))
        self._arrivals = arrivals
        self._store = store
        self._journal = journal
        self._world = world
        self._full = full
        self._passing = passing
        self._uses = {one_path(path): use for path, use in (uses or {}).items()}
        self._elsewhere = frozenset(map(one_path, elsewhere))
        self._requested = requested
        self._listed_at = requested.mark
        """The mark of the changes by requests before the last list was requested."""
        self._overtaken = False
        """Whether the last list was not compared, since a request changed folders meanwhile."""
        self._folders: dict[str, WatchedFolder] = {}
        self._main: WatchedFolder | None = None
        self._opened = False
        """Whether the main mailbox has been looked into since it became the main one."""
        self._next_round = 0.0
        self._asked_to_look = False
        self._missed: frozenset[str] = frozenset()
        """Mailboxes missing from the last list."""
        self._statuses: dict[str, dict[str, int]] = {}
        """The STATUS items that came with the last list."""
        self._listing = _EVERY
        """What may be requested: a list with every STATUS, a plain list, or none until `_next_list`."""
        self._next_list = 0.0
        self._looking_at: str | None = None
        """The other folder that is being looked into, or `_EVERY` or `_PLAIN` while a list is awaited."""
        self._hidden: set[str] = set()
        """Paths shared by another mailbox."""
        self.troubles = SkippedFolders(world)
        self.sent_path: str | None = None
        """The folder for sent mail; None if the account has none."""

    @property
    def seconds_to_next(self) -> float:
        """Seconds until the folders are due to be checked again."""
        return min(max(0.0, self._next_round - trio.current_time()), self.troubles.seconds_to_next)

    @property
    def seconds_to_unseen(self) -> float:
        """Seconds until `look_for_unseen` is due; infinite if it is not."""
        return self._main.seconds_to_next if self._main is not None else math.inf

    def look_soon(self) -> None:
        """Start the next round at once, and look into the main mailbox whatever its STATUS says."""
        self._next_round = 0.0
        self._asked_to_look = True

    def beside(self, path: str) -> WatchedFolder | None:
        """The watched mailbox with this path, unless it is the main one."""
        folder = self._folders.get(one_path(path))
        return None if folder is self._main else folder

    async def begin_round(self, session: ImapSession, delay: float) -> None:
        """List the mailboxes, announce new and removed ones, look into the main one.

        `delay` is the time in seconds until the next round. Raises what a broken session raises, and `CommandRefused`
        if the main mailbox cannot be opened.
        """
        self._next_round = trio.current_time() + delay
        self._listed_at, self._overtaken = self._requested.mark, False
        listed = await self._list(session)
        if listed:
            named = next((path for path, use in self._uses.items() if use == "\\Sent"), None)
            self.sent_path = named or next((each.path for each in listed if each.special_use == "\\Sent"), None)
            await self._compare(
                session, self._choose(session, listed), {each.path for each in listed if each.selectable}
            )
        elif not self._folders:
            await self._take_stored()
        self.troubles.keep(self._folders.keys() - self._elsewhere - self._missed)
        main = self._be_main(self._choose_main(session))
        if main is not None and self._opened:
            await self._look_into_main(session, main)
        try:
            await self.come_back(session)
        except CommandRefused as error:
            if main is None or main.mailbox != _INBOX:
                raise
            self._failed(main.path, error)
            self._be_main(self._choose_main(session))
            await self.come_back(session)
        if self._main is not None:
            self.troubles.well(self._main.path)

    def _be_main(self, main: WatchedFolder | None) -> WatchedFolder | None:
        if main is not self._main:
            self._opened = False
        self._main = main
        return main

    async def end_round(self, session: ImapSession) -> None:
        """Look into the other mailboxes that have changed, and return to the main one. Raises like `begin_round`."""
        for path, folder in self._folders.items():
            if folder is not self._main and path not in self._elsewhere and path not in self._missed:
                await self._look_beside(session, folder, self._statuses.get(path))
        await self.come_back(session)
        await self._arrivals.requested.looked_into_all(self._store)
        if not self._overtaken:
            await self._requested.looked_into_all(self._store, self._listed_at)

    async def look_into(self, session: ImapSession, path: str) -> None:
        """Look into one mailbox other than the main one, if it is watched. Raises what a broken session raises.

        Something has been put there, so its STATUS would only say that.
        """
        folder = self._folders.get(path)
        if folder is not None and folder is not self._main and path not in self._elsewhere:
            await self._look_beside(session, folder, None, changed=True)

    async def come_back(self, session: ImapSession) -> None:
        """Select the main mailbox again if a look into another one, or a job, has left it."""
        main = self._main
        if main is None:
            if session.selected is None:
                # There is nothing to watch, but IDLE needs a selected mailbox.
                await session.select(INBOX_PATH, read_only=True)
        elif session.selected != main.path or not self._opened:
            await main.look(session)
            self._opened = True

    async def look_for_unseen(self, session: ImapSession) -> None:
        """Look again for messages of the main mailbox that the server counted but did not show."""
        if self._main is not None and session.selected == self._main.path:
            await self._main.look_for_unseen(session)

    def stumbled(self, error: EngineError) -> bool:
        """Note the end of the connection; return whether its cause is something that the next one will avoid."""
        path, self._looking_at = self._looking_at, None
        if path is None:
            return False
        if path == _EVERY:
            self._listing = _PLAIN
        elif path == _PLAIN:
            self._listing, self._next_list = _NO_LIST, trio.current_time() + LIST_PAUSE
        else:
            self._failed(path, error)
        return True

    async def _look_into_main(self, session: ImapSession, main: WatchedFolder) -> None:
        asked, self._asked_to_look = self._asked_to_look, False
        if session.selected != main.path:
            return  # `come_back` looks
        await session.noop()  # for the selected mailbox, some servers answer STATUS with what they last reported
        await main.hear(session, session.take_pending())
        status = self._statuses.get(main.path) or await session.status(main.path, _items(session))
        if asked or main.behind(status) or "QRESYNC" in await session.enable():
            await main.look(session, doubt=asked)

    async def _look_beside(
        self, session: ImapSession, folder: WatchedFolder, status: dict[str, int] | None, *, changed: bool = False
    ) -> None:
        path = folder.path
        if self.troubles.skips(path):
            return
        self._looking_at = path
        patience = self.troubles.patience(path)
        try:
            if status is None and not changed:
                with within(patience):
                    status = await session.status(path, _items(session))
            if changed or (status is not None and folder.differs(status)):
                await folder.look(session, patience=patience)
        except (CommandRefused, ValueError) as error:
            self._failed(path, error)
        except EngineError:
            raise
        except Exception as error:
            raise ProtocolError(f"{path} cannot be understood: {error!r}") from error
        else:
            if self.troubles.well(path):
                log.info("the folder %s can be opened again", path)
        self._looking_at = None

    def _failed(self, path: str, error: Exception) -> None:
        if not self._requested.none_since(self._listed_at):
            return  # the session may have selected another mailbox
        if self.troubles.failed(path, str(error)):
            log.warning("the folder %s cannot be opened and is skipped for a while: %s", path, error)

    async def _list(self, session: ImapSession) -> list[Mailbox]:
        """Every mailbox, including INBOX, and their STATUS items in `_statuses`; empty without a list."""
        self._statuses = {}
        if self._listing == _NO_LIST and trio.current_time() < self._next_list:
            return []
        every = self._listing == _EVERY and "LIST-STATUS" in session.capabilities
        self._looking_at = _EVERY if every else _PLAIN
        try:
            with within(LIST_PATIENCE):
                if every:
                    found, self._statuses = await session.list_with_status(_items(session))
                else:
                    found = await session.list_mailboxes()
        except CommandRefused as error:
            log.warning("the folders cannot be listed: %s", error)
            found = []
        self._looking_at = None
        self._statuses = {one_path(path): items for path, items in self._statuses.items()}
        listed: dict[str, Mailbox] = {}
        for each in found:
            mailbox = marked(msgspec.structs.replace(each, path=one_path(each.path)), self._uses)
            if listed.setdefault(mailbox.path, mailbox) is not mailbox and each.path not in self._hidden:
                self._hidden.add(each.path)
                log.warning("two folders are called %s; one of them is not watched", each.path)
        inbox = listed.get(_INBOX.path)
        if listed and not (inbox is not None and inbox.selectable):
            listed[_INBOX.path] = marked(_INBOX, self._uses)
        return list(listed.values())

    async def _take_stored(self) -> None:
        """Without a list, watch what was watched before, and INBOX."""
        stored = mailboxes.of_account(self._store.reader, self._account)
        if not stored and self._wanted is None:
            await self._store.commit(lambda tx: mailboxes.add(tx, self._account, INBOX_PATH, INBOX))
            stored = mailboxes.of_account(self._store.reader, self._account)
        self._folders = {row.path: self._kept(row, _of_row(row)) for row in stored}

    async def hear(self, session: ImapSession, news: Sequence[Untagged]) -> None:
        """Announce what the server reported about the main mailbox."""
        if self._main is not None and session.selected == self._main.path:
            await self._main.hear(session, news)

    def _choose(self, session: ImapSession, listed: list[Mailbox]) -> list[Mailbox]:
        stored = mailboxes.of_account(self._store.reader, self._account)
        uses = {each.special_use for each in listed if each.selectable} | {row.special_use for row in stored}
        return to_watch(listed, self._wanted, all_mail="X-GM-EXT-1" in session.capabilities and "\\All" in uses)

    def _choose_main(self, session: ImapSession) -> WatchedFolder | None:
        uses = ("\\All", INBOX) if "X-GM-EXT-1" in session.capabilities else (INBOX,)
        there = [each for each in self._folders.values() if each.mailbox != _INBOX or not self._skips(each)]
        for use in uses:
            for folder in there:
                if folder.mailbox.special_use == use:
                    return folder
        return next(iter(there), None)

    def _skips(self, folder: WatchedFolder) -> bool:
        return self.troubles.skips(folder.path)

    async def _compare(self, session: ImapSession, found: list[Mailbox], listed: Collection[str]) -> None:
        """Bring the stored mailboxes in line with those to watch, and announce new and removed ones."""
        account, reader, now = self._account, self._store.reader, self._world.now()
        stored = mailboxes.of_account(reader, account)
        absent = await self._absent(session, found, stored)
        found = [each for each in found if each.path not in absent]
        changes = compare(
            stored,
            found,
            listed,
            missed=self._missed,
            long_gone=[row for row in mailboxes.gone(reader, account, now - GONE_KEPT) if row.path not in absent],
        )
        rows = changes.rows
        appeared = (*changes.new, *(to for _, to in changes.moved))
        validities = {each.path: await self._validity(session, each) for each in appeared}
        if rows and not self._requested.none_since(self._listed_at):
            self._keep_stored()
            return
        if changes:
            names = {each.row.path: each.mailbox.name for each in self._folders.values()}
            journal, requested = self._journal, self._requested
            await self._store.commit(lambda tx: write(tx, changes, account, validities, names, journal, now, requested))
            rows = {each.path: each for each in mailboxes.of_account(reader, account)}
        self._missed = changes.missed - {row.path for row in changes.gone}
        if self._missed:
            self._next_round = min(self._next_round, trio.current_time() + LIST_AGAIN)
        missed = {path: _of_row(rows[path]) for path in self._missed if path in rows}
        watched = {each.path: each for each in found} | missed
        # A request may have changed a folder since the commit.
        self._folders = {path: self._kept(rows[path], each) for path, each in watched.items() if path in rows}

    async def _absent(
        self, session: ImapSession, found: Collection[Mailbox], stored: Collection[MailboxRow]
    ) -> frozenset[str]:
        """The removed mailboxes that are listed but not there, by path: Dovecot does so while others are below."""
        gone = {row.path for row in mailboxes.gone(self._store.reader, self._account)}
        gone -= {row.path for row in stored}
        suspects = [each for each in found if each.path in gone]
        return frozenset([each.path for each in suspects if await self._validity(session, each) is None])

    def _keep_stored(self) -> None:
        """Continue with the folders still stored, and list again soon: a request has changed some in the meantime."""
        self._overtaken = True
        rows = {row.path: row for row in mailboxes.of_account(self._store.reader, self._account)}
        kept = [(path, folder) for path, folder in self._folders.items() if path in rows]
        self._folders = {path: self._kept(rows[path], folder.mailbox) for path, folder in kept}
        self._missed &= rows.keys()
        self._next_round = min(self._next_round, trio.current_time() + LIST_AGAIN)

    async def _validity(self, session: ImapSession, mailbox: Mailbox) -> int | None:
        status = self._statuses.get(mailbox.path, {})
        if mailbox.path not in self._statuses and not self.troubles.skips(mailbox.path):
            self._looking_at = mailbox.path
            try:
                with within(self.troubles.patience(mailbox.path)):
                    status = await session.status(mailbox.path, _items(session))
            except (CommandRefused, ValueError) as error:
                self._failed(mailbox.path, error)
            self._looking_at = None
        return status.get("UIDVALIDITY")

    def _kept(self, row: MailboxRow, mailbox: Mailbox) -> WatchedFolder:
        folder = self._folders.get(mailbox.path)
        if folder is not None and folder.row.id == row.id and folder.row.special_use == row.special_use:
            return folder
        return WatchedFolder(
            row, mailbox, self._arrivals, self._store, self._journal, full=self._full, passing=self._passing
        )


def marked(mailbox: Mailbox, uses: dict[str, str]) -> Mailbox:
    """The mailbox with the special use that the registration gives it; `uses` are by path."""
    use = uses.get(mailbox.path)
    if use is None and mailbox.special_use not in uses.values():
        return mailbox
    return msgspec.structs.replace(mailbox, special_use=use, special_use_source="user" if use else None)


def to_watch(listed: Collection[Mailbox], wanted: Collection[str] | None, *, all_mail: bool) -> list[Mailbox]:
    """The mailboxes to watch: `wanted` by path or special use, None for all.

    `all_mail`: the server is Gmail, where a few mailboxes contain every message and the others are views of them.
    """
    found = [each for each in listed if each.selectable]
    if wanted is not None:
        return [each for each in found if {each.path, each.special_use} & set(wanted)]
    return [each for each in found if each.special_use in GMAIL_USES] if all_mail else found


_INBOX = Mailbox(path=INBOX_PATH, delimiter=None, flags=frozenset(), special_use=INBOX, special_use_source="name")


def _of_row(row: MailboxRow) -> Mailbox:
    """A stored mailbox that the server does not list at the moment."""
    return Mailbox(path=row.path, delimiter=row.delimiter, flags=frozenset(), special_use=row.special_use)


def _items(session: ImapSession) -> Sequence[str]:
    more = [("CONDSTORE", "HIGHESTMODSEQ"), ("OBJECTID", "MAILBOXID")]
    return [*STATUS_ITEMS, *(item for extension, item in more if extension in session.capabilities)]
