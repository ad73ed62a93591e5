"""One running export: counts, then writes message by message, until it ends or fails.

1. `_index` lists the folders and counts the messages to write in each.
2. `_export` goes through the folders in the order of UIDs. Every few seconds it ends the current gzip member; once that
   is on disk, it commits the position. So a crash or a broken connection repeats at most those seconds, and whatever
   was written in them is cut off first: no line occurs twice or in part.
3. It leases a session only for such a period, as long work, so that requests for files get their turns.
4. A mailbox that is unavailable is tried again after a growing wait, for `PATIENCE` since the last progress. A message
   over which the connection broke `BREAKS` times, or which the server refuses to show, is skipped and counted.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from msgspec.structs import replace

from engine.accounts.account import Account
from engine.accounts.leased_connections import NoSession
from engine.accounts.message_lookup import DESCRIPTION, Locator, Opened
from engine.accounts.registration import watch_rules
from engine.accounts.searching import every_folder
from engine.errors import NetworkError, Problem, ProtocolError
from engine.events.journal import Journal
from engine.export.files import ExportFile, ExportFiles, OutOfRoom
from engine.export.lines import SECONDS, write_message
from engine.imap.commands import search_date
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.uid_sets import ranges
from engine.isotime import iso
from engine.model.account_states import AccountState
from engine.model.export import Export, ExportStatus, Phase, Progress
from engine.store import exports
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.export")

BATCH = 20
"""Messages that are described at once."""
TURN_SECONDS = 3.0
"""After so long a session is given back, and the place reached is committed."""
WAITS = (5.0, 15.0, 60.0, 300.0)
"""Seconds before each further attempt at a mailbox that is unavailable; the last one repeats."""
PATIENCE = 6 * 3600.0
"""Seconds without any progress after which an export fails."""
BREAKS = 2
_DAY = 86_400.0
_LATEST = 253_000_000_000.0
"""Seconds since 1970, in the year 9987."""


class Gone(Exception):
    """The export was removed meanwhile."""


class Failed(Exception):
    """The export cannot continue; `code` says why in one word."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Limits:
    """How much one export may contain: messages, and octets of its file."""

    def __init__(self, messages: Callable[[], int], size: Callable[[], int]) -> None:
        self.messages = messages
        self.size = size


class ExportRun:
    """`find` returns the account as it is registered now. `keep`: seconds for which the file is kept."""

    def __init__(
        self,
        export: Export,
        find: Callable[[str], Account | None],
        files: ExportFiles,
        limits: Limits,
        store: Store,
        journal: Journal,
        world: World,
        keep: float,
    ) -> None:
        self.export = export
        self._find = find
        self._files = files
        self._limits = limits
        self._store = store
        self._journal = journal
        self._world = world
        self._keep = keep
        self._breaks: tuple[int, int, int] = (0, 0, 0)
        """Of the message at which the connection broke last: folder, UID, how often."""

    async def run(self) -> None:
        """Continue until the export has ended. Raises `StorageFailed`. Cancelled: the next start resumes it."""
        try:
            began = self.export.progress.began or self._world.now()
            await self._note(ExportStatus.PROCESSING, began=began)
            await self._persist()
            await self._end(ExportStatus.COMPLETED, "exportCompleted", self._completed)
        except Gone:
            log.info("the export %s was removed while it ran", self.export.id)
        except Failed as error:
            log.warning("the export %s has failed: %s", self.export.id, error)
            told = replace(self.export.progress, error=str(error), error_code=error.code)
            self.export = replace(self.export, progress=told)
            try:
                await self._end(ExportStatus.FAILED, "exportFailed", self._failed)
            except Gone:
                pass
            await self._files.remove(self.export.id)

    async def _persist(self) -> None:
        """Work until everything is written; wait for what is temporarily unavailable. Raises `Failed`, `Gone`."""
        attempts, since, before = 0, trio.current_time(), self.export.progress
        while True:
            try:
                await self._work()
                return
            except OutOfRoom as error:
                raise Failed("OutOfRoom", str(error)) from error
            except OSError as error:
                raise Failed("FileFailed", f"The file cannot be written: {error.strerror or error}") from error
            except (Problem, NetworkError, ProtocolError, CommandRefused) as error:
                if self.export.progress != before:
                    attempts, since, before = 0, trio.current_time(), self.export.progress
                self._refuse_unless_there()
                if trio.current_time() - since > PATIENCE:
                    raise Failed(_code(error), str(error)) from error
                log.info("the export %s waits: %s", self.export.id, error)
                await trio.sleep(WAITS[min(attempts, len(WAITS) - 1)])
                attempts += 1

    def _refuse_unless_there(self) -> Account:
        account = self._find(self.export.account)
        if account is None:
            raise Gone
        if account.status.state is AccountState.UNSET:
            raise Failed("NotSyncing", "The account has no mailbox to connect to")
        return account

    async def _work(self) -> None:
        if self.export.progress.phase is Phase.INDEXING:
            await self._index()
        file = await self._files.open(self.export.id, self.export.progress.written)
        try:
            while self.export.progress.place < len(self.export.progress.folders):
                await self._files.refuse_unless_room()
                await self._export(file)
        finally:
            await file.aclose()

    async def _index(self) -> None:
        """List the folders, and count the messages to write."""
        wanted = self.export.wanted
        async with self._leased(None) as (session, locator):
            paths = list(wanted.folders) or await every_folder(session)
            folders: dict[str, int] = {}
            for path in paths:
                session.deadline = trio.current_time() + SECONDS
                try:
                    opened = await locator.open(session, path)
                except Problem as problem:
                    if problem.status == 404:
                        raise Failed("MailboxNotFound", f"There is no folder {path}") from problem
                    raise
                if opened.row.path not in folders:
                    folders[opened.row.path] = len(await session.search(self._criteria()))
        queued = sum(folders.values())
        await self._note(
            phase=Phase.EXPORTING, folders=tuple(folders), queued=queued, truncated=queued > self._limits.messages()
        )

    async def _export(self, file: ExportFile) -> None:
        """Write some messages of the current folder; move on to the next folder once none are left."""
        progress = self.export.progress
        path = progress.folders[progress.place]
        async with self._leased(path) as (session, locator):
            try:
                opened = await locator.open(session, path)
            except Problem as problem:
                if problem.status != 404:
                    raise
                await self._next_folder(file)  # it was removed after it was counted
                return
            validity = opened.selected.uid_validity
            if validity != progress.validity:
                # The messages written so far had other UIDs.
                progress = replace(progress, validity=validity, uid=0)
                self.export = replace(self.export, progress=progress)
            # `*` means the last message, whatever its UID.
            found = await session.search(f"{self._criteria()} UID {progress.uid + 1}:*")
            uids = [uid for uid in found if uid > progress.uid]
            until = trio.current_time() + TURN_SECONDS
            at = 0
            while at < len(uids) and trio.current_time() < until and not self._full(file):
                await self._write(session, opened, uids[at : at + BATCH], file)
                at += BATCH
        if self._full(file):
            await self._commit(file, truncated=True, place=len(progress.folders), scanned=len(progress.folders))
        elif at >= len(uids):
            await self._next_folder(file)
        else:
            await self._commit(file)

    async def _next_folder(self, file: ExportFile) -> None:
        place = self.export.progress.place + 1
        await self._commit(file, place=place, scanned=place, validity=None, uid=0)

    def _full(self, file: ExportFile) -> bool:
        progress = self.export.progress
        return progress.exported >= self._limits.messages() or file.reached >= self._limits.size()

    async def _write(self, session: ImapSession, opened: Opened, uids: list[int], file: ExportFile) -> None:
        session.deadline = trio.current_time() + SECONDS
        described = {one.uid: one for one in await self._described(session, uids)}
        for uid in uids:
            one = described.get(uid)
            progress = self.export.progress
            if self._full(file):
                return
            if one is None or self._is_stuck(uid):
                self._done(uid, skipped=progress.skipped + 1)
                continue
            date = one.internal_date
            if date is not None and not self.export.wanted.start <= date < self.export.wanted.end:
                self._done(uid)
                continue
            try:
                await write_message(session, opened.row, one, self.export.wanted, file, self._world)
            except CommandRefused as error:
                log.info("message %d of %s is not exported: %s", uid, opened.row.path, error)
                self._done(uid, skipped=progress.skipped + 1)
            except (NetworkError, ProtocolError):
                self._note_break(uid)
                raise
            else:
                self._done(uid, exported=progress.exported + 1)

    async def _described(self, session: ImapSession, uids: list[int]) -> list[Fetched]:
        """What the server reports about these messages; each alone if it refuses to report on all."""
        items = (*DESCRIPTION, "BODY.PEEK[HEADER]", *session.id_items)
        try:
            return await session.fetch(ranges(uids), items)
        except CommandRefused:
            found: list[Fetched] = []
            for uid in uids:
                try:
                    found += await session.fetch(((uid, uid),), items)
                except CommandRefused as error:
                    log.info("message %d is not exported: %s", uid, error)
            return found

    def _done(self, uid: int, **changes: Any) -> None:
        self.export = replace(self.export, progress=replace(self.export.progress, uid=uid, **changes))

    def _note_break(self, uid: int) -> None:
        place, known, times = self._breaks
        same = (place, known) == (self.export.progress.place, uid)
        self._breaks = (self.export.progress.place, uid, times + 1 if same else 1)

    def _is_stuck(self, uid: int) -> bool:
        place, known, times = self._breaks
        return (place, known) == (self.export.progress.place, uid) and times >= BREAKS

    @asynccontextmanager
    async def _leased(self, path: str | None) -> AsyncIterator[tuple[ImapSession, Locator]]:
        """A session for a while. An error in it undoes whatever is not committed."""
        account, before = self._refuse_unless_there(), self.export
        uses = dict(watch_rules(account.record, account.status.created).uses)
        try:
            async with account.commands.lease(SECONDS, long=True, path=path) as session:
                yield session, Locator(account.id, self._store, uses, account.look_soon)
        except BaseException:
            self.export = before
            raise

    def _criteria(self) -> str:
        """The days of the span: SEARCH knows only days, and the server's may begin at another hour."""
        wanted = self.export.wanted
        first, last = max(wanted.start, 0.0) - _DAY, min(wanted.end, _LATEST) + 2 * _DAY
        return f"SINCE {search_date(first)} BEFORE {search_date(last)}"

    async def _commit(self, file: ExportFile, **changes: Any) -> None:
        """Sync what was written, then commit the position."""
        await self._note(written=await file.end_member(), **changes)

    async def _note(self, status: ExportStatus | None = None, **changes: Any) -> None:
        told = replace(self.export.progress, **changes)
        after = replace(self.export, status=status or self.export.status, progress=told)
        if not await self._store.commit(lambda tx: exports.change(tx, after)):
            raise Gone
        self.export = after

    async def _end(self, status: ExportStatus, event: str, data: Callable[[Export], dict[str, Any]]) -> None:
        now = self._world.now()
        phase = Phase.COMPLETE if status is ExportStatus.COMPLETED else self.export.progress.phase
        told = replace(self.export.progress, phase=phase, ended=now)
        after = replace(self.export, status=status, progress=told, expires=now + self._keep)

        def change(tx: Tx) -> bool:
            there = exports.change(tx, after)
            if there:
                self._journal.append(tx, event, after.account, data(after))
            return there

        if not await self._store.commit(change):
            raise Gone
        self.export = after

    def _completed(self, export: Export) -> dict[str, Any]:
        progress: Progress = export.progress
        return {
            "exportId": export.id,
            "folders": list(progress.folders),
            "startDate": iso(export.wanted.start),
            "endDate": iso(export.wanted.end),
            "messagesExported": progress.exported,
            "messagesSkipped": progress.skipped,
            "bytesWritten": progress.written,
            "duration": round(((progress.ended or 0) - (progress.began or 0)) * 1000),
            "expiresAt": iso(export.expires),
        }

    def _failed(self, export: Export) -> dict[str, Any]:
        progress: Progress = export.progress
        return {
            "exportId": export.id,
            "error": progress.error or "",
            "errorCode": progress.error_code or "",
            "phase": progress.phase.value,
            "messagesExported": progress.exported,
            "messagesQueued": progress.queued,
        }


def _code(error: Exception) -> str:
    if isinstance(error, NoSession):
        return str(error.extra.get("code") or "IMAPUnavailable")
    return getattr(error, "code", None) or "IMAPUnavailable"
