"""Notes when and from where tokens are used, and writes it to disk every few seconds, all in one commit.

So a request costs two entries in dictionaries, and a process that is killed loses the notes of the last `EVERY`
seconds; what was changed is in the audit record, on disk before the answer. Refused requests are always noted, allowed
ones while the setting `tokenAuditLog` is true. Memory is bounded: of each token the latest `MOST` requests are held,
and at most `HELD` of all; while that many wait, further ones are not noted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from engine.errors import EngineError
from engine.store import token_uses
from engine.store.token_uses import MOST, AskedWith, Use
from engine.store.writer import Store
from engine.world import World

EVERY = 10.0
"""Seconds between two writes."""
HELD = 20_000
LAST_WRITE_SECONDS = 1.0


class TokenUses:
    """The uses that are not written yet. The service `run` writes it; `logs` says whether allowed requests count."""

    def __init__(self, store: Store, world: World, logs: Callable[[], bool]) -> None:
        self._store = store
        self._world = world
        self.logs = logs
        self._uses: dict[str, Use] = {}
        self._requests: dict[str, deque[AskedWith]] = {}
        self._held = 0
        self._any = trio.Event()

    def used(self, token: str, address: str | None) -> None:
        """Note that the token with this hash was presented from there."""
        self._uses[token] = Use(self._world.now(), address)
        self._any.set()

    def note(self, asked: AskedWith) -> None:
        """Note a request."""
        if self._held >= HELD:
            return
        noted = self._requests.setdefault(asked.token, deque(maxlen=MOST))
        self._held += len(noted) < MOST
        noted.append(asked)
        self._any.set()

    def last_uses(self) -> dict[str, Use]:
        """The last use of each token, by hash."""
        return token_uses.last_uses(self._store.reader) | self._uses

    async def write(self) -> None:
        """Write the noted uses. Raises like `Store.admit`; the uses then stay noted."""
        uses, requests, now = self._uses, self._requests, self._world.now()
        if not uses and not requests:
            return
        self._uses, self._requests, self._held, self._any = {}, {}, 0, trio.Event()
        asked = sorted((each for noted in requests.values() for each in noted), key=lambda each: each.time)
        try:
            await self._store.admit(lambda tx: token_uses.write(tx, uses, asked, now))
        except EngineError:
            later = [each for noted in self._requests.values() for each in noted]
            self._uses, self._requests, self._held = uses | self._uses, {}, 0
            for each in [*asked, *later]:
                self.note(each)
            self._any.set()
            raise

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write the noted uses every `EVERY` seconds. Cancelled: writes once more, if the store can."""
        task_status.started()
        try:
            while True:
                await self._any.wait()
                await trio.sleep(EVERY)
                await self.write_if_possible()
        finally:
            with trio.move_on_after(LAST_WRITE_SECONDS, shield=True):
                await self.write_if_possible()

    async def write_if_possible(self) -> None:
        """The same; what the store refuses stays noted for the next time."""
        try:
            await self.write()
        except EngineError:
            pass  # the store itself reports what is wrong with it
