"""Named consumers: the engine stores a reader's position, and the reader acknowledges how far it has come.

The position moves only when the reader acknowledges, so events lost in transit are sent again. An acknowledgement is on
disk before it is confirmed. A consumer has at most one connection; a newer one takes over, because the client of the
older may be long gone. Two clients that keep reconnecting would take over from each other without end, so each takeover
soon after another has to wait longer (`Consumers.wait`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from engine.store import consumers
from engine.store.consumers import Consumer
from engine.store.writer import Store
from engine.world import World

log = logging.getLogger("engine.http")

FREE, SOON = 2, 60.0
"""After `FREE` takeovers, each within `SOON` seconds of the one before, two clients must be using the same name."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
LAST_ACK = 5.0
"""Seconds for the last acknowledgement of a disconnected reader to reach the disk."""

Key = tuple[str, str]
"""Owner and name."""


class Consumers:
    """All consumers: their rows and their current connections."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world
        self._connected: dict[Key, trio.Event] = {}
        self._takeovers: dict[Key, tuple[int, float]] = {}
        """The number of takeovers in quick succession, and the time of the last one (Trio's clock)."""
        self._waiting: dict[Key, trio.Event] = {}

    def every(self, owner: str | None) -> list[Consumer]:
        """The consumers of one owner (None: of all)."""
        return consumers.every(self._store.reader, owner)

    def find(self, owner: str, name: str) -> Consumer | None:
        """One consumer."""
        return consumers.find(self._store.reader, owner, name)

    def connected(self, owner: str, name: str) -> bool:
        """Whether the consumer has a connected stream."""
        return (owner, name) in self._connected

    async def start(self, owner: str, name: str, seq: int) -> int:
        """Create the consumer at `seq` unless it exists; return its position."""
        return await self._store.commit(lambda tx: consumers.make(tx, owner, name, seq, self._world.now()))

    async def move(self, owner: str, name: str, seq: int) -> bool:
        """Set its position, forward or back, and end its stream so that it resumes there. False: it does not exist."""
        moved = await self._store.commit(lambda tx: consumers.move(tx, owner, name, seq, self._world.now()))
        self._displace((owner, name))
        return moved

    async def remove(self, owner: str, name: str) -> bool:
        """Remove it and end its stream. False: it does not exist."""
        gone = await self._store.commit(lambda tx: consumers.remove(tx, owner, name))
        self._displace((owner, name))
        return gone

    def wait(self, owner: str, name: str) -> float:
        """Seconds that a new connection must wait before it may take the consumer; 0 unless it is fought over."""
        if (owner, name) not in self._connected or not self.fought_over(owner, name):
            return 0.0
        count, _ = self._takeovers[owner, name]
        return min(FIRST_WAIT * 2.0 ** min(count - FREE, 16), LONGEST_WAIT)

    def fought_over(self, owner: str, name: str) -> bool:
        """Whether two clients keep taking it from each other."""
        count, last = self._takeovers.get((owner, name), (0, 0.0))
        return count >= FREE and trio.current_time() - last <= SOON

    async def turn(self, owner: str, name: str, seconds: float) -> bool:
        """Wait `seconds`; return False at once if a newer connection begins to wait for the same consumer.

        Cancelled: nothing changes.
        """
        key = (owner, name)
        if key in self._waiting:
            self._waiting[key].set()
        newer = self._waiting[key] = trio.Event()
        try:
            with trio.move_on_after(seconds):
                await newer.wait()
        finally:
            if self._waiting.get(key) is newer:
                del self._waiting[key]
        return not newer.is_set()

    def take(self, owner: str, name: str) -> Lease:
        """Take this consumer, displacing its previous connection."""
        key = (owner, name)
        self._note_takeover(key)
        self._displace(key)
        displaced = self._connected[key] = trio.Event()

        def release() -> None:
            if self._connected.get(key) is displaced:
                del self._connected[key]

        async def acknowledge(seq: int) -> bool:
            return await self._store.commit(lambda tx: consumers.acknowledge(tx, owner, name, seq, self._world.now()))

        return Lease(displaced, acknowledge, release)

    def _note_takeover(self, key: Key) -> None:
        if key not in self._connected:
            return
        now = trio.current_time()
        self._takeovers = {each: kept for each, kept in self._takeovers.items() if now - kept[1] <= SOON}
        count = self._takeovers.get(key, (0, now))[0] + 1
        self._takeovers[key] = (count, now)
        if count >= FREE:
            log.warning("two clients take the consumer %s from each other, %d times so far", key[1], count)

    def _displace(self, key: Key) -> None:
        before = self._connected.pop(key, None)
        if before is not None:
            before.set()


class Lease:
    """One connection's hold on a consumer. `displaced` is set when it is taken over, moved or removed."""

    def __init__(
        self, displaced: trio.Event, acknowledge: Callable[[int], Awaitable[bool]], release: Callable[[], None]
    ) -> None:
        self.displaced = displaced
        self._acknowledge = acknowledge
        self._release = release
        self._wanted = 0
        self._kept = 0
        self._news = trio.Event()

    def note(self, seq: int) -> None:
        """Note that the client has everything up to `seq`."""
        if seq > self._wanted:
            self._wanted = seq
            self._news.set()

    async def keep(self, tell: Callable[[int], Awaitable[None]]) -> None:
        """Write each noted position, then `tell` the client. Runs until cancelled; `close` then writes the rest.

        Positions noted during a commit share the next one.
        """
        while True:
            await self._news.wait()
            self._news = trio.Event()
            seq = self._wanted
            await self._write(seq)
            await tell(seq)

    async def close(self) -> None:
        """Release the consumer after writing the last acknowledgement."""
        try:
            if self._kept < self._wanted and not self.displaced.is_set():
                with trio.move_on_after(LAST_ACK, shield=True):
                    await self._write(self._wanted)
        finally:
            self._release()

    async def _write(self, seq: int) -> None:
        await self._acknowledge(seq)
        self._kept = seq
