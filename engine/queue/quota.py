"""What one account may still send: its limits, what has counted against them, and whether its provider refuses more.

1. `load` reads what the journal knows. Times become those of Trio's clock, so a wall clock that is set changes nothing.
   What was sent before the account had limits counts too.
2. A transaction counts from the moment its end of data may leave: `begin` notes it in the commit that marks the dot,
   `ended` corrects or removes it in the commit that records the reply. If there is no reply, it goes on counting.
3. `ready_at` says when the next message may go. The lane asks it, and tells what waits (`waits`, `drained`).
4. A provider that says the quota is used up closes the account for a while, whatever its limits say (`close`).

An account without limits writes nothing here.
"""

from __future__ import annotations

import math

import trio

from engine.model.limits import Quota, WindowLimit
from engine.queue.quota_windows import Cost, Fill, QuotaWindows, Use
from engine.smtp.protocol import GROUP_RECIPIENTS
from engine.store import quotas
from engine.store.quotas import Closure, Stamp
from engine.store.writer import Store, Tx
from engine.world import LOOK_AGAIN, World

BUSY = 0.5
"""Share of a window that must be used for mail that waits at a start to leave evenly."""


class SendingQuota:
    """The quota of one account. `limits` None: it has none, and only its provider can close it."""

    def __init__(self, account: str, limits: Quota | None, store: Store, world: World) -> None:
        self._account = account
        self._store = store
        self._world = world
        self.limits = limits
        self._windows = QuotaWindows(limits.windows if limits is not None else ())
        self._closed: tuple[float, Closure] | None = None
        """(until, what the provider said)"""
        self._head: Cost | None = None
        """What the first message that waits takes; None: unknown."""
        self._since: float | None = None

    @property
    def is_limited(self) -> bool:
        """Whether what is sent counts against a limit."""
        return bool(self._windows)

    async def load(self) -> None:
        """Read what the journal knows. Raises `StorageFailed`. Cancelled: it may be half read."""
        stamp = self._stamp()
        if any(each.is_open for each in quotas.of_account(self._store.reader, self._account)):
            # The server may have taken them at any time until now.
            await self._store.commit(lambda tx: quotas.settle_open(tx, self._account, stamp))
        self._read()
        self._windows.spread(trio.current_time(), BUSY)

    def change(self, limits: Quota | None) -> None:
        """Keep other limits from now on."""
        if limits != self.limits:
            self.limits = limits
            self._windows = QuotaWindows(limits.windows if limits is not None else ())
            self._head = None
            self._read()

    def cost(self, recipients: int) -> Cost:
        """What a message to this number of recipients takes."""
        return Cost(max(1, math.ceil(recipients / self.group)), recipients)

    @property
    def group(self) -> int:
        """The maximum number of recipients of one transaction."""
        most = self.limits.recipients_per_message if self.limits is not None else None
        return GROUP_RECIPIENTS if most is None else min(most, GROUP_RECIPIENTS)

    def ready_at(self, now: float) -> float:
        """When the next message may go, by Trio's clock; at or before `now` if it may at once."""
        ready = now
        if self._closed is not None:
            if self._closed[0] <= now:
                self._closed = None
                # What waited so long would only have the provider close the account again.
                self._windows.spread(now, 0.0)
            else:
                ready = self._closed[0]
        if self._windows:
            ready = max(ready, self._windows.ready_at(now, self._head or Cost()))
        return ready

    def admits(self, cost: Cost, now: float) -> bool:
        """Whether a message of this cost may go now, or never fits; if not, `ready_at` is about it from now on."""
        if self._windows.never_fits(cost) is not None or self._windows.ready_at(now, cost) <= now:
            self._head = None
            return True
        self._head = cost
        self.waits(now)
        return False

    def never_fits(self, cost: Cost) -> WindowLimit | None:
        """A limit that a message of this cost exceeds by itself; None: there is none."""
        return self._windows.never_fits(cost)

    def waits(self, now: float) -> None:
        """Mail is due and has to wait for the quota."""
        self._windows.waits(now, self._head or Cost())
        if self._since is None:
            self._since = self._world.now()

    def drained(self) -> None:
        """No mail is due."""
        self._windows.drained()
        self._head = self._since = None

    def goes_on(self) -> None:
        """A message goes: those behind it wait from now on."""
        self._since = None

    def look_again(self) -> None:
        """Forget what the first message takes: another may be the first by now."""
        self._head = None

    @property
    def patience(self) -> float:
        """The longest wait in seconds before `look_again`."""
        return LOOK_AGAIN if self._head is not None else math.inf

    @property
    def since(self) -> float:
        """When mail began to wait, in seconds since 1970."""
        return self._world.now() if self._since is None else self._since

    def left(self, now: float) -> int | None:
        """How many messages to one recipient may go now, were they the only ones; None: there is no limit."""
        if self._closed is not None and self._closed[0] > now:
            return 0
        return min((max(0, each.limit.most - each.used) for each in self._windows.fills(now)), default=None)

    def fills(self) -> list[Fill]:
        """How full each window is; times are by Trio's clock."""
        return self._windows.fills(trio.current_time())

    def fullest(self, now: float) -> WindowLimit:
        """The limit that holds mail up, if the provider does not."""
        return self._windows.fullest(now)

    def closure(self, now: float) -> tuple[float, Closure] | None:
        """Until when the provider refuses more, by Trio's clock, and what it said; None: it does not."""
        return self._closed if self._closed is not None and self._closed[0] > now else None

    async def close(self, seconds: float, text: str) -> None:
        """Send nothing for so long: the provider says that the quota is used up. Raises `StorageFailed`."""
        closure = Closure(self._stamp(), seconds, text)
        await self._store.commit(lambda tx: quotas.close(tx, self._account, closure))
        self._closed = (trio.current_time() + seconds, closure)

    async def reopen(self) -> None:
        """Send again, whatever the provider said. Raises `StorageFailed`."""
        await self._store.commit(lambda tx: quotas.reopen(tx, self._account))
        self._closed = None

    def pass_time(self, seconds: float) -> None:
        """Count everything so far as so many seconds longer ago; the caller moves the rows of the journal."""
        self._windows.pass_time(seconds)
        if self._closed is not None:
            until, said = self._closed
            self._closed = (until - seconds, said)

    def begin(self, tx: Tx, message: int, attempt: int, recipients: int) -> int:
        """Count a transaction whose end of data is about to leave; return its row."""
        stamp, now = self._stamp(), trio.current_time()
        quotas.remove(tx, self._windows.outdated(now))
        row = quotas.begin(tx, self._account, message, attempt, stamp, recipients)
        tx.after_commit(lambda: self._windows.add(Use(now, recipients, row)))
        return row

    def ended(self, tx: Tx, row: int, recipients: int) -> None:
        """Note how many recipients the newest transaction was accepted for; with none, it does not count."""
        stamp, now = self._stamp(), trio.current_time()
        if recipients:
            quotas.settle(tx, row, stamp, recipients)
        else:
            quotas.remove(tx, [row])

        def note() -> None:
            self._windows.drop_newest(row)
            if recipients:
                self._windows.add(Use(now, recipients, row))

        tx.after_commit(note)

    def _read(self) -> None:
        now, stamp, reader = trio.current_time(), self._stamp(), self._store.reader
        found = []
        if self._windows:
            since = stamp.at - self._windows.longest
            found = [Use(now - each.stamp.age(stamp), each.recipients, each.id) for each in self._rows()]
            found += [
                Use(now - max(0.0, stamp.at - at), max(1, recipients), 0)
                for at, recipients in quotas.uncounted(reader, self._account, since)
            ]
        for use in sorted(found):
            self._windows.add(use)
        self._closed = None
        if (closure := quotas.closed(reader, self._account)) is not None:
            until = now + closure.seconds - closure.stamp.age(stamp)
            self._closed = (until, closure) if until > now else None

    def _rows(self) -> list[quotas.UseRow]:
        return quotas.of_account(self._store.reader, self._account)

    def _stamp(self) -> Stamp:
        return Stamp(self._world.now(), *self._world.boot())
