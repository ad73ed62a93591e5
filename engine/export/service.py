"""All exports: started, resumed after a restart, a few at a time, and removed when they expire.

Each runs in a task of its own, the oldest first, as many per account and in all as the settings allow; the others are
`queued`. Files without an export, left by removed accounts or by a crash, are removed at the start and together with
expired ones.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

import trio

from engine.accounts.account import Account
from engine.config import ExportConfig
from engine.errors import Problem, StorageFull
from engine.events.journal import Journal
from engine.export.files import ExportFiles, OutOfRoom
from engine.export.run import ExportRun, Limits
from engine.model.export import Export, ExportStatus, Progress, Wanted
from engine.settings import SettingsBook
from engine.store import exports
from engine.store.writer import Store
from engine.world import World

log = logging.getLogger("engine.export")

LOOK_EVERY = 60.0
"""Seconds between two looks for exports whose time is over."""
MOST_OPEN = 10
"""Exports of one account that have not ended, at most."""
AT_ONCE, AT_ONCE_IN_ALL = 1, 3
"""How many run at once of one account, and in all, where the settings do not say."""
MOST_MESSAGES = 1_250_000
MOST_BYTES = 5 * 1024**3
"""How much an export holds at most, where the settings do not say."""


class Exports:
    """The service that owns every export. `find`: the account of an id."""

    def __init__(
        self,
        files: ExportFiles,
        find: Callable[[str], Account | None],
        store: Store,
        journal: Journal,
        settings: SettingsBook,
        config: ExportConfig,
        world: World,
    ) -> None:
        self.files = files
        self._find = find
        self._store = store
        self._journal = journal
        self._settings = settings
        self._config = config
        self._world = world
        self._running: dict[str, tuple[str, trio.CancelScope, trio.Event]] = {}
        """By id: the account, what ends the task, and what says that it has ended."""
        self._news = trio.Event()
        self._limits = Limits(
            lambda: settings.values.export_max_messages or MOST_MESSAGES,
            lambda: settings.values.export_max_size or MOST_BYTES,
        )

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the exports until cancelled; the next start resumes them. Raises `StorageFailed`."""
        task_status.started()
        await self._remove_expired()
        async with trio.open_nursery() as nursery:
            while True:
                self._news = trio.Event()
                self._begin(nursery)
                with trio.move_on_after(LOOK_EVERY):
                    await self._news.wait()
                    continue
                await self._remove_expired()

    async def start(self, account: str, wanted: Wanted) -> Export:
        """Begin an export. Raises `Problem` 429 and 507, `StorageFailed`."""
        waiting = [each for each in exports.unfinished(self._store.reader) if each.account == account]
        if len(waiting) >= MOST_OPEN:
            raise Problem(429, f"Too many exports of this account: {MOST_OPEN} at most", code="TooMany")
        try:
            await self.files.refuse_unless_room()
        except OutOfRoom as error:
            raise StorageFull(str(error)) from error
        now = self._world.now()
        export = Export(
            id=f"exp_{self._world.token_bytes(12).hex()}",
            account=account,
            status=ExportStatus.QUEUED,
            wanted=wanted,
            progress=Progress(),
            created=now,
            expires=now + self._config.keep,
        )
        await self._store.admit(lambda tx: exports.add(tx, export))
        self._news.set()
        return export

    async def remove(self, export: str) -> bool:
        """End an export and remove it with its file; return whether it existed. Raises `StorageFailed`."""
        there: bool = await self._store.commit(lambda tx: exports.remove(tx, export))
        if (running := self._running.get(export)) is not None:
            _, scope, ended = running
            scope.cancel()
            await ended.wait()
        await self.files.remove(export)
        return there

    def _begin(self, nursery: trio.Nursery) -> None:
        values = self._settings.values
        of_account = Counter(account for account, _, _ in self._running.values())
        for export in exports.unfinished(self._store.reader):
            if len(self._running) >= (values.export_max_global_concurrent or AT_ONCE_IN_ALL):
                return
            if export.id in self._running or of_account[export.account] >= (values.export_max_concurrent or AT_ONCE):
                continue
            of_account[export.account] += 1
            self._running[export.id] = (export.account, trio.CancelScope(), trio.Event())
            nursery.start_soon(self._run, export)

    async def _run(self, export: Export) -> None:
        _, scope, ended = self._running[export.id]
        try:
            with scope:
                await ExportRun(
                    export,
                    self._find,
                    self.files,
                    self._limits,
                    self._store,
                    self._journal,
                    self._world,
                    self._config.keep,
                ).run()
        finally:
            del self._running[export.id]
            ended.set()
            self._news.set()

    async def _remove_expired(self) -> None:
        for export in exports.expired(self._store.reader, self._world.now()):
            log.info("the export %s is removed: its time is over", export)
            await self.remove(export)
        await self.files.sweep(lambda: exports.ids(self._store.reader))
