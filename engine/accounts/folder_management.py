"""The folders of an account as requests see and change them.

A folder that is created, renamed or removed here is announced at once, in the commit that stores the change; the next
round then finds nothing new. A renamed folder keeps its number, so that ids stay valid and its mail is not announced
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from engine.accounts import observed_changes
from engine.accounts.folder_list_comparison import one_path
from engine.accounts.folder_requests_under_way import FolderChange, FolderChanges
from engine.accounts.folder_watch import marked, to_watch
from engine.accounts.observed_changes import API
from engine.errors import Problem
from engine.events.journal import Journal
from engine.imap.mailboxes import SUBSCRIBED, Mailbox
from engine.imap.nodes import text
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.special_use import INBOX
from engine.store import mailboxes
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Store, Tx
from engine.world import World

COUNTERS = ("MESSAGES", "UIDNEXT", "UNSEEN")
_ORDER = (INBOX, "\\Flagged", "\\Sent", "\\Drafts", "\\All", "\\Archive", "\\Junk", "\\Trash")


class Rules(NamedTuple):
    """The registration's rules: special uses by path, the watched folders (None: all), and whether in full."""

    uses: dict[str, str]
    wanted: Sequence[str] | None
    full: bool


class Folders:
    """The folders of one account."""

    def __init__(
        self, account: str, rules: Rules, changes: FolderChanges, store: Store, journal: Journal, world: World
    ) -> None:
        self._account = account
        self._rules = rules
        self._changes = changes
        self._store = store
        self._journal = journal
        self._world = world

    async def listed(self, session: ImapSession, *, counters: bool) -> list[dict[str, Any]]:
        """Every folder that the server lists, in the form of the API's list. Raises `CommandRefused`."""
        found, told = await session.list_subscribed(COUNTERS)
        statuses = {one_path(path): items for path, items in told.items()}
        shown = []
        for mailbox in self._marked(found):
            status: dict[str, Any] | None = statuses.get(mailbox.path)
            if counters and status is None and mailbox.selectable:
                try:
                    status = await session.counters(mailbox.path, COUNTERS)
                except (CommandRefused, ValueError) as error:
                    status = {"error": str(error)}
            entry = self._entry(mailbox, self._known(mailbox.path), status or {})
            if counters and mailbox.selectable:
                names = (("MESSAGES", "messages"), ("UNSEEN", "unseen"), ("error", "error"))
                entry["status"] = {name: status[item] for item, name in names if status and item in status}
            shown.append(entry)
        return sorted(shown, key=_place_of)

    def stored(self) -> list[dict[str, Any]]:
        """The watched folders, as far as the store knows them."""
        rows = mailboxes.of_account(self._store.reader, self._account)
        known = [(row, Mailbox(**_of_row(row), special_use=row.special_use)) for row in rows]
        return sorted([self._entry(mailbox, row, {}) for row, mailbox in known], key=_place_of)

    async def create(self, session: ImapSession, levels: Sequence[str]) -> dict[str, Any]:
        """Create a folder and subscribe to it. Raises `Problem` 400, `CommandRefused`."""
        with self._changes.changing() as changing:
            path = await _in_namespace(session, levels)
            await self._changes.keep(self._store, self._account, changing, path)
            try:
                mailbox_id = await session.create(path)
            except ValueError as error:
                await self._nothing_changed(changing)
                raise _impossible(error) from error
            except CommandRefused as error:
                await self._nothing_changed(changing)
                if error.code != "ALREADYEXISTS" and (error.code is not None or not await _is_listed(session, path)):
                    raise _refused("Create failed", error) from error
                return {"path": path, "created": False}
            await _subscribe(session, path, on=True)
            await self._note(session, changing, path)
            return {"path": path, **({"mailboxId": mailbox_id} if mailbox_id else {}), "created": True}

    async def rename(
        self, session: ImapSession, path: str, levels: Sequence[str], *, subscribe: bool
    ) -> dict[str, Any]:
        """Rename a folder, and `subscribe` to the new path. Raises `Problem` 400, `CommandRefused`."""
        with self._changes.changing() as changing:
            new = await _in_namespace(session, levels)
            if one_path(new) == one_path(path):
                return {"path": path, "newPath": path, "renamed": False}
            await self._changes.keep(self._store, self._account, changing, path, new)
            try:
                if session.selected is not None:
                    await session.unselect()
                await session.rename(path, new)
            except ValueError as error:
                await self._nothing_changed(changing)
                raise _impossible(error) from error
            except CommandRefused as error:
                await self._nothing_changed(changing)
                known = error.code is not None and error.code != "ALREADYEXISTS"
                raise _refused("Rename failed" if known else "Can not rename mailbox", error) from error
            if subscribe:
                await _subscribe(session, new, on=True)
            await self._note(session, changing, new, before=path)
            return {"path": path, "newPath": new, "renamed": True}

    async def subscribe(self, session: ImapSession, path: str, *, on: bool) -> bool:
        """Subscribe to a folder, or (`on` False) unsubscribe; return whether the server did it."""
        return await _subscribe(session, path, on=on)

    async def delete(self, session: ImapSession, path: str) -> bool:
        """Remove a folder with its messages; return whether the server did it."""
        with self._changes.changing() as changing:
            await self._changes.keep(self._store, self._account, changing, path)
            try:
                if session.selected is not None:
                    await session.unselect()
                await session.delete(path)
            except (CommandRefused, ValueError):
                await self._nothing_changed(changing)
                return False
            await self._note(session, changing, None, before=path)
            return True

    async def _nothing_changed(self, changing: FolderChange) -> None:
        await self._store.commit(lambda tx: self._changes.finish(tx, changing))
        changing.stored = None

    async def _note(
        self, session: ImapSession, changing: FolderChange, path: str | None, before: str | None = None
    ) -> None:
        """Announce the folder that is now at `path` and was at `before`, by the server's list."""
        gmail = "X-GM-EXT-1" in session.capabilities
        listed = {one_path(each.path): each for each in self._marked(await session.list_mailboxes())}
        if path is None and before is not None and not await _exists(session, before):
            # Dovecot lists a removed folder as before if there are others below it.
            listed.pop(one_path(before), None)
        all_mail = gmail and "\\All" in {each.special_use for each in listed.values()}
        watched = {each.path: each for each in to_watch(list(listed.values()), self._rules.wanted, all_mail=all_mail)}
        delimiter = next((each.delimiter for each in listed.values() if each.delimiter), None)
        rows = {row.path: row for row in mailboxes.of_account(self._store.reader, self._account, unwatched=True)}
        moved = _moved(rows, listed, before, path, delimiter)
        new = [
            each
            for each in watched.values()
            if each.path not in rows
            and path is not None
            and (_under(each.path, path, delimiter) or _under(path, each.path, delimiter))
            and all(to is not each for _, to in moved)
        ]
        validities = {}
        for mailbox in {each.path: each for each in (*new, *(to for _, to in moved if to is not None))}.values():
            validities[mailbox.path] = (await session.status(mailbox.path, ("UIDVALIDITY",))).get("UIDVALIDITY")
        now = self._world.now()
        seen = path is None or one_path(path) in listed

        def change(tx: Tx) -> None:
            for row, to in moved:
                name = Mailbox(**_of_row(row)).name
                validity = validities.get(to.path) if to is not None else None
                if to is not None and row.uid_validity in (None, validity) and to.path in watched:
                    observed_changes.mailbox_renamed(tx, self._journal, row, to, name, validity, API)
                elif row.watched:
                    observed_changes.mailbox_deleted(tx, self._journal, row, name, now, API)
                    if to is not None and to.path in watched:
                        new.append(to)
                else:
                    mailboxes.drop(tx, row.id)
            for mailbox in new:
                validity = validities.get(mailbox.path)
                observed_changes.mailbox_new(tx, self._journal, self._account, mailbox, validity, source=API)
            if seen:
                self._changes.finish(tx, changing)

        await self._store.commit(change)
        if not seen:
            self._changes.unseen(changing)

    def _marked(self, listed: list[Mailbox]) -> list[Mailbox]:
        return [marked(replace(each, path=one_path(each.path)), self._rules.uses) for each in listed]

    def _known(self, path: str) -> MailboxRow | None:
        return mailboxes.at_path(self._store.reader, self._account, one_path(path))

    def _entry(self, mailbox: Mailbox, row: MailboxRow | None, status: dict[str, Any]) -> dict[str, Any]:
        flags = {flag.lower() for flag in mailbox.flags}
        parent = mailbox.path.rpartition(mailbox.delimiter)[0] if mailbox.delimiter else ""
        entry: dict[str, Any] = {"path": mailbox.path, "delimiter": mailbox.delimiter, "name": mailbox.name}
        if parent:
            entry["parentPath"] = parent
        entry["listed"] = True
        if SUBSCRIBED.lower() in flags or mailbox.special_use == INBOX:
            entry["subscribed"] = True
        if not mailbox.selectable:
            entry["noSelect"] = True
        if mailbox.special_use is not None:
            entry["specialUse"] = mailbox.special_use
        if mailbox.special_use_source is not None:
            entry["specialUseSource"] = mailbox.special_use_source
        entry["noInferiors"] = "\\noinferiors" in flags
        known = row is not None and row.uid_next is not None and row.watched
        messages = mailboxes.count(self._store.reader, row.id) if known and row and self._rules.full else False
        entry["messages"] = status.get("MESSAGES", messages)
        entry["uidNext"] = status.get("UIDNEXT", row.uid_next if known and row else False)
        return entry


def _moved(
    rows: dict[str, MailboxRow], listed: dict[str, Mailbox], before: str | None, path: str | None, delimiter: str | None
) -> list[tuple[MailboxRow, Mailbox | None]]:
    """The known folders that were at or below `before` and are not listed there now, with their new mailbox, if any."""
    found: list[tuple[MailboxRow, Mailbox | None]] = []
    for row in rows.values() if before is not None else ():
        there = listed.get(row.path)
        if before is None or not _under(row.path, before, delimiter) or (there is not None and there.selectable):
            continue
        now = None if path is None else listed.get(path + row.path[len(before) :])
        found.append((row, now if now is not None and now.selectable else None))
    return found


def _under(path: str, above: str | None, delimiter: str | None) -> bool:
    """Whether `path` is `above` or below it."""
    if above is None:
        return False
    return path == above or (delimiter is not None and path.startswith(above + delimiter))


async def _in_namespace(session: ImapSession, levels: Sequence[str]) -> str:
    """The path of these levels in the personal namespace, with that namespace's prefix (RFC 2342)."""
    namespace = await session.namespace()
    own = (
        namespace.personal[0]
        if namespace is not None and isinstance(namespace.personal, list) and namespace.personal
        else None
    )
    prefix, delimiter = "", "/"
    if isinstance(own, list) and len(own) > 1:
        prefix, delimiter = text(own[0]), text(own[1]) or delimiter
    path = delimiter.join(levels)
    if path != prefix:
        # A delimiter at the end asks for the same folder (RFC 3501 section 6.3.3), which is listed without it.
        path = path.removesuffix(delimiter) or path
    if one_path(path) == one_path("INBOX") or path.upper().startswith(prefix.upper()):
        return one_path(path)
    return prefix + path


async def _is_listed(session: ImapSession, path: str) -> bool:
    """Whether there is such a folder already: many servers refuse to create it without a code that says so."""
    return one_path(path) in {one_path(each.path) for each in await session.list_mailboxes()}


async def _exists(session: ImapSession, path: str) -> bool:
    """Whether the server has a folder there, whatever it lists."""
    return "UIDVALIDITY" in await session.status(path, ("UIDVALIDITY",))


async def _subscribe(session: ImapSession, path: str, *, on: bool) -> bool:
    try:
        await session.subscribe(path, on=on)
    except (CommandRefused, ValueError):
        return False
    return True


def _refused(message: str, error: CommandRefused) -> Problem:
    said = error.response.partition(" ")[2]  # after the tag
    problem = Problem(400, message, details={"response": said})
    if error.code is not None:
        problem.extra["code"] = error.code
    return problem


def _impossible(error: ValueError) -> Problem:
    return Problem(400, f"No folder can have this path: {error}", code="CANNOT")


def _of_row(row: MailboxRow) -> dict[str, Any]:
    return {"path": row.path, "delimiter": row.delimiter, "flags": frozenset()}


def place(path: str, use: str | None) -> tuple[int, str, str]:
    """The sort key of a folder in a list: the inbox first, then those with a special use, then the others by path."""
    return (_ORDER.index(use) if use in _ORDER else len(_ORDER), path.casefold(), path)


def _place_of(entry: dict[str, Any]) -> tuple[int, str, str]:
    return place(entry["path"], entry.get("specialUse"))
