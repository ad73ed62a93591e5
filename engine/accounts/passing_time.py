"""Moves time forward for single sandbox accounts: days pass in moments, and nothing of them is skipped.

1. How many seconds have still to pass for an account is on disk from the moment it is asked for (`move`), so a restart
   goes on with the rest.
2. One task for each such account (`_pass`) waits until everything that is due has happened, then moves the account's
   time to the next moment at which something is due, in one commit with the rest of the time, and so on. A retry in an
   hour is made, then the one after it, at the intervals of the schedule.
3. To move time means to bring due times nearer (`store/sandbox.py`, and what the account keeps in memory). The wall
   clock stays, and so do the dates of events, and every other account.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import trio

from engine.accounts.account import Account
from engine.accounts.registration import is_sandbox
from engine.errors import StorageFailed
from engine.queue.schedule import Schedule
from engine.sandbox.provider import Sandbox
from engine.store import follow_ups, sandbox, sent_copies
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.sandbox")

LOOK_SECONDS = 0.01
"""Seconds after which to look again whether what is due has happened."""
SHORTEST = 1.0
"""The fewest seconds moved at once, so that messages due one after another do not take as many commits."""
EACH_SECOND = 10
"""Waiting messages for which one more second is moved at once: each move reads all of them."""
DIAL_SECONDS = 900.0
"""The fewest seconds moved at once, in the end, while a server cannot be reached: it is dialled every half minute."""
FILING_SECONDS = 2.0
"""How long to wait for copies in the Sent folder that are due, in case the mailbox cannot be reached."""


class PassingTime:
    """The accounts for which time is being moved. `run` is its service."""

    def __init__(
        self, store: Store, sandbox: Sandbox, find: Callable[[str], Account | None], schedule: Schedule, world: World
    ) -> None:
        self._store = store
        self._sandbox = sandbox
        self._find = find
        self._schedule = schedule
        self._world = world
        self._nursery: trio.Nursery | None = None
        self._moving: dict[str, trio.Event] = {}

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let time pass that has still to, now and whenever `go_on` is called, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            for account in sandbox.accounts_with_time_ahead(self._store.reader):
                self.go_on(account)
            await trio.sleep_forever()

    def go_on(self, account: str) -> None:
        """Let the time pass that the journal says has still to."""
        if account not in self._moving and self._nursery is not None:
            self._moving[account] = trio.Event()
            self._nursery.start_soon(self._pass, account)

    async def has_passed(self, account: str) -> None:
        """Return when no more time has to pass. Cancelled: it goes on."""
        while (moving := self._moving.get(account)) is not None:
            await moving.wait()

    async def _pass(self, account: str) -> None:
        dials = 0
        try:
            while (running := self._find(account)) is not None and is_sandbox(running.record):
                if (ahead := sandbox.moved_time(self._store.reader, account).ahead) <= 0:
                    return
                began = trio.current_time()
                while self._is_at_work(running, began):  # noqa: ASYNC110 - any of several things may end it
                    await trio.sleep(LOOK_SECONDS)
                if self._find(account) is running:
                    dials = dials + 1 if running.is_cut_off else 0
                    await self._move(running, min(ahead, max(self._next(running), self._grain(account, dials))))
        except StorageFailed:
            raise
        except Exception:
            log.exception("moving the time of an account crashed", extra={"account": account})
        finally:
            self._moving.pop(account).set()

    def _grain(self, account: str, dials: int) -> float:
        """The fewest seconds to move, after so many dials in vain."""
        waiting = sandbox.count_waiting(self._store.reader, account) / EACH_SECOND
        return max(SHORTEST, waiting, min(2.0 ** min(dials, 10), DIAL_SECONDS) if dials else 0.0)

    def _is_at_work(self, account: Account, since: float) -> bool:
        """Whether something that is due has still to happen."""
        if self._find(account.id) is not account:
            return False
        if (until := self._sandbox.rehearsal(account.id).waits_until) is not None:
            return until <= trio.current_time()
        if account.sends_in <= 0:
            return True
        filing = trio.current_time() < since + FILING_SECONDS and account.status.state == "connected"
        return filing and any(moment <= self._world.now() for moment in self._after_sending(account.id))

    def _next(self, account: Account) -> float:
        """Seconds until the next thing is due; infinite if nothing is."""
        waits = [account.sends_in, *(moment - self._world.now() for moment in self._after_sending(account.id))]
        if (until := self._sandbox.rehearsal(account.id).waits_until) is not None:
            waits.append(until - trio.current_time())
        return min((each for each in waits if each > 0), default=math.inf)

    def _after_sending(self, account: str) -> list[float]:
        firsts = (sent_copies.first(self._store.reader, account), follow_ups.first(self._store.reader, account))
        return [each.next_at for each in firsts if each is not None]

    async def _move(self, account: Account, seconds: float) -> None:
        def change(tx: Tx) -> None:
            # Less may have to pass by now, or nothing.
            if (moved := min(seconds, sandbox.moved_time(tx, account.id).ahead)) <= 0:
                return
            sandbox.pass_time(tx, account.id, moved, self._world.now())
            waiting = sandbox.waiting_messages(tx, account.id)
            tx.after_commit(lambda: self._moved(account, moved, waiting))

        await self._store.commit(change)

    def _moved(self, account: Account, seconds: float, waiting: list[tuple[int, float, bool]]) -> None:
        if self._find(account.id) is not account:
            return
        agenda = self._schedule.of(account.id)
        agenda.clear()
        for message, due, chosen in waiting:
            agenda.add(message, due, account.id, scheduled=chosen)
        self._sandbox.rehearsal(account.id).move(seconds)
        account.pass_time(seconds)
