"""One webhook endpoint at work: posts every event that its plan selects, in order for each account.

1. `follow` sets the plan (None: nothing to do) and restarts the round (`_rounds`). A crash restarts it after a wait.
2. `_scan` runs ahead through the journal and only notes which accounts have events to post. Each gets a backlog and a
   task until the backlog is empty (`_run_line`), so memory holds one small object for each account that lags.
3. The task posts the account's events one after another (`_deliver`), so trouble with one account delays no other. At
   most `[webhooks] parallel` posts are under way at once.
4. On 2xx the event is done; 410 ends the posting. Otherwise the event waits or is parked (`retry`, `due_posts`).
5. `_keep` stores position and backlogs about once a second: a crash repeats at most that second and skips nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from engine import config
from engine.egress import Egress
from engine.errors import StorageFailed, StorageFull, StorageUnavailable
from engine.events.journal import Journal
from engine.events.recent import Entry
from engine.log import concerns
from engine.store import webhooks
from engine.store.webhooks import EndpointRow, LineRow, ParkedRow
from engine.store.writer import Store, Tx
from engine.webhooks.backlog import AccountBacklog
from engine.webhooks.due_posts import DuePosts
from engine.webhooks.endpoint_log import EndpointLog
from engine.webhooks.event_waits import EventWaits
from engine.webhooks.expression_checks import ExpressionError
from engine.webhooks.health import health_of
from engine.webhooks.plan import Plan, letter_of, payload
from engine.webhooks.post import Answer, PostCounts, Poster
from engine.webhooks.retry import PostOutcome
from engine.webhooks.target import WebhookTarget
from engine.world import World

log = logging.getLogger("engine.webhooks")
PAGE = 500
LINE_PAGE = 20
FULL_WAIT = 5.0
LONGEST_RESTART = 60.0
JITTER = 0.1
"""Waits vary by up to this fraction either way, so that many accounts do not post again all at once."""
KEEP_EVERY = 1.0
KEEP_AFTER = 100
"""Posts after which the position is stored even within `KEEP_EVERY`."""


class Gone(Exception):
    """The receiver answered 410."""


class Endpoint:
    """One endpoint. `run` is its service; `follow` sets its plan."""

    def __init__(
        self,
        row: EndpointRow,
        journal: Journal,
        store: Store,
        config: config.WebhooksConfig,
        world: World,
        egress: Egress,
        waits: EventWaits,
        counts: PostCounts,
        on_gone: Callable[[str], None],
        on_done: Callable[[str], None],
    ) -> None:
        self.id = row.id
        self._journal, self._store = journal, store
        self._config, self._world = config, world
        self._waits = waits
        self._on_gone, self._on_done = on_gone, on_done
        self._plan: Plan | None = None
        self._round = trio.CancelScope()
        self._poster = Poster(world, egress, counts, timeout=config.timeout, connections=config.parallel)
        self.position, self._asked_since = row.seq, row.created
        self.health = health_of(row.health)
        self.lines = {each.account: self._line(each, row.seq) for each in webhooks.lines(store.reader, row.id)}
        self._touched: set[str] = set()
        self._kept_position, self._kept_delivered = row.seq, self.health.delivered
        self._kept_at, self._held = -math.inf, False
        self._news, self._again = trio.Event(), trio.Event()
        self._due = DuePosts(egress, world)
        self._nursery: trio.Nursery | None = None
        self._slots, self._story = trio.CapacityLimiter(config.parallel), EndpointLog(row.id, world)

    def follow(self, plan: Plan | None) -> None:
        """Set the plan, with immediate effect: post waiting events at once, forget any `Retry-After` and 410."""
        self._plan = plan
        self.health.gone = False
        self._due.forget_retry_after()
        for line in self.lines.values():
            line.next_at = None
            line.gone = False
            self._touched.add(line.account)
        self._round.cancel()

    def begin(self, seq: int) -> None:
        """Start at `seq`, unless the endpoint has ever had a plan before; stored within about a second."""
        if not self.health.started:
            self.health.started, self.position, self._kept_position = True, seq, -1
            self._news.set()

    @property
    def active(self) -> bool:
        """Whether it has a plan."""
        return self._plan is not None

    def nudge(self, account: str) -> None:
        """Post an account's events at once: their target has changed."""
        line = self.lines.get(account)
        if line is None:
            return
        line.next_at = None
        self._touched.add(account)
        if line.gone:
            line.gone = False
            if self._nursery is not None:
                self._nursery.start_soon(self._run_line, line)
        else:
            self._due.hasten(account)

    def hold(self) -> None:
        """Stop posting and storing the position until `moved` or `release` is called."""
        self._held = True
        self._round.cancel()

    def moved(self, seq: int) -> None:
        """Continue after `seq`; the rows already say that the endpoint is done up to there."""
        self.position = self._kept_position = seq
        self._asked_since = self._world.now()
        self.lines.clear()
        self._touched.clear()
        self.release()

    def release(self) -> None:
        """Continue from the current position."""
        self._held = False
        self._round.cancel()

    def retry_parked(self) -> None:
        """Post the parked events that are marked for it."""
        self._again.set()

    async def run(self) -> None:
        """Post until cancelled. Raises `StorageFailed` if the journal cannot be written.

        Cancelled: a post under way is aborted, and may be repeated after a restart; the position is still stored.
        """
        concerns(webhook=self.id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._poster.close_idle)
            try:
                await self._rounds()
            finally:
                if not self._store.failed and self._dirty:
                    await self._keep_once()

    async def _rounds(self) -> None:
        crashes = 0
        while True:
            with trio.CancelScope() as self._round:
                if self._plan is None or self.health.gone or self._held:
                    await self._keep_once()
                    await trio.sleep_forever()
                if await self._follow():
                    crashes = 0
                else:
                    crashes += 1
                    await trio.sleep(min(2.0**crashes, LONGEST_RESTART))

    async def post_now(self, target: WebhookTarget, body: bytes, seq: int) -> Answer:
        """Post `body` at once, outside the order of events."""
        return await self._poster.post(target, letter_of(seq, body, 0, self._plan.route if self._plan else None))

    # The scan.

    async def _follow(self) -> bool:
        """Post until the round is cancelled; False after a crash, which affects only this endpoint."""
        well = True
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._again.set()
                nursery.start_soon(self._keep)
                nursery.start_soon(self._retry)
                for line in list(self.lines.values()):
                    if not line.gone:
                        nursery.start_soon(self._run_line, line)
                try:
                    await self._scan()
                    while self.lines:
                        await self._news.wait()
                        await trio.lowlevel.checkpoint()
                    await self._keep_once()
                    self._on_done(self.id)
                    await trio.sleep_forever()
                finally:
                    self._nursery = None  # before it closes: the receiver may be asked for again until then
        except* StorageFailed:
            raise
        except* Gone:
            self.health.gone = True
            self._on_gone(self.id)
        except* Exception as crash:
            log.exception("the endpoint crashed and is restarted")
            self.health.error, self.health.error_at = f"internal error: {crash.exceptions[0]!r}", self._world.now()
            well = False
        finally:
            await self._poster.aclose()
        return well

    async def _scan(self) -> None:
        while (plan := self._plan) is not None:
            if plan.until is not None and self.position >= plan.until:
                return
            if self._journal.last <= self.position:
                await self._journal.wait_for_more(self.position)
            page = self._journal.page(self.position, PAGE, None, plan.names)
            if page.first is not None:
                await self._tell_gap(None, self.position + 1, page.first - 1)
            for seq, account, _, _ in page.entries:
                if plan.until is not None and seq > plan.until:
                    break
                if plan.accounts is None or account in plan.accounts:
                    self._note(account or "", seq)
            self.position = page.position if plan.until is None else min(page.position, plan.until)
            self._news.set()
            await trio.lowlevel.checkpoint()

    def _note(self, account: str, seq: int) -> None:
        line = self.lines.get(account)
        if line is not None:
            line.until = seq
            return
        line = self.lines[account] = AccountBacklog(account, seq - 1, seq)
        self._touched.add(account)
        assert self._nursery is not None
        self._nursery.start_soon(self._run_line, line)

    # One line.

    async def _run_line(self, line: AccountBacklog) -> None:
        concerns(webhook=self.id, account=line.account or None)
        while line.seq < line.until:
            first = self._journal.first
            if line.seq + 1 < first:
                # The removed events may or may not have belonged to this account.
                await self._tell_gap(line.account, line.seq + 1, min(line.until, first - 1))
                self._advance(line, first - 1)
                continue
            upto, names = line.until, self._plan.names if self._plan else None
            entries = self._journal.of_account(line.account or None, line.seq, upto, LINE_PAGE, names)
            for entry in entries:
                if not await self._deliver(line, entry):
                    return
                self._advance(line, entry[0])
            if len(entries) < LINE_PAGE:
                self._advance(line, upto)
            await trio.lowlevel.checkpoint()
        if self.lines.get(line.account) is line:
            del self.lines[line.account]
            self._touched.add(line.account)
            self._news.set()

    def _advance(self, line: AccountBacklog, seq: int) -> None:
        line.advance(seq)
        self._touched.add(line.account)
        self._news.set()

    async def _deliver(self, line: AccountBacklog, entry: Entry) -> bool:
        """Post one event until it is accepted or parked; False if the account's own receiver is gone."""
        while True:
            plan = self._plan
            target = plan.target_of(line.account) if plan is not None else None
            if plan is None or target is None:
                return True
            early = await self._due.wait_for(line, target)
            if plan.target_of(line.account) != target:
                continue
            try:
                body = payload(plan, entry[3])
            except ExpressionError as error:
                await self._park(line, entry, str(error))
                return True
            if plan.filter is not None and line.attempts == 0:
                self._count(passed=body is not None)
            if body is None:
                return True
            async with self._slots:
                letter = letter_of(entry[0], entry[3], line.attempts, plan.route, body)
                answer = await self._poster.post(target, letter)
            now = self._world.now()
            if answer.taken:
                self._waits.accepted(max(letter.happened, self._asked_since))
                self._succeeded(target, now)
                return True
            self._failed(line, entry, answer, now, target)
            if answer.status == 410:
                everybodys = plan.target_of("")
                if plan.route is not None or (everybodys is not None and everybodys.key == target.key):
                    raise Gone
                line.gone = True
                self._story.gone(target, entry[0])
                return False
            if early:
                # An attempt brought forward on a guess does not count, and the next stays due when it was.
                continue
            wait = line.wait_after(
                self._config.schedule,
                now,
                answer.outcome,
                retry_after=answer.retry_after,
                taken_at=self._due.taken_at(target),
            )
            if wait is None:
                await self._park(line, entry, answer.text)
                return True
            if answer.retry_after is None:
                wait *= 1 + JITTER * (2 * self._world.random.random() - 1)
            else:
                self._due.forbid(target, answer.retry_after)
            line.next_at, line.longest = now + wait, wait

    # What came of it.

    def _count(self, *, passed: bool) -> None:
        if passed:
            self.health.passed += 1
            self.health.last_passed = self._world.now()
        else:
            self.health.left_out += 1

    def _succeeded(self, target: WebhookTarget, now: float) -> None:
        self.health.delivered += 1
        self.health.last_success = now
        if all(line.attempts == 0 for line in self.lines.values()):
            self.health.failing_since = None
            self._story.taken(target)
        self._news.set()
        self._due.taken(target, now)

    def _failed(self, line: AccountBacklog, entry: Entry, answer: Answer, now: float, target: WebhookTarget) -> None:
        line.error = answer.text
        line.answered = answer.outcome is PostOutcome.ANSWERED
        health = self.health
        health.error, health.error_at, health.error_seq = answer.text, now, entry[0]
        health.error_account, health.error_status = entry[1], answer.status
        health.failing_since = health.failing_since or now
        self._story.not_taken(target, entry[0], line.attempts + 1, answer)
        self._touched.add(line.account)
        self._news.set()

    async def _park(self, line: AccountBacklog, entry: Entry, reason: str) -> None:
        self._story.parked(entry[0], entry[2], line.attempts, reason)
        row = ParkedRow(entry[0], line.account, entry[2], line.attempts, reason, self._world.now(), 0)
        await self._commit(lambda tx: webhooks.park(tx, self.id, row))

    async def _retry(self) -> None:
        """Post parked events again on request, one after another."""
        while True:
            await self._again.wait()
            self._again = trio.Event()
            for row in webhooks.parked(self._store.reader, self.id, retrying=True):
                await self._retry_one(row)

    async def _retry_one(self, row: ParkedRow) -> None:
        reason: str | None = "it is no longer kept"
        plan = self._plan
        target = plan.target_of(row.account) if plan is not None else None
        entries = self._journal.of_account(row.account or None, row.seq - 1, row.seq, 1)
        if plan is not None and target is not None and entries:
            reason = None
            try:
                body = payload(plan, entries[0][3])
            except ExpressionError as error:
                body, reason = None, str(error)
            if body is not None:
                letter = letter_of(row.seq, entries[0][3], row.attempts, plan.route, body)
                async with self._slots:
                    answer = await self._poster.post(target, letter)
                if answer.taken:
                    self._succeeded(target, self._world.now())
                else:
                    reason = answer.text
        if reason is None:
            await self._commit(lambda tx: webhooks.skip(tx, self.id, [row.seq]))
            return
        again = row._replace(attempts=row.attempts + 1, reason=reason, retrying=0)
        await self._commit(lambda tx: webhooks.park(tx, self.id, again))

    async def _tell_gap(self, account: str | None, first: int, last: int) -> None:
        self._story.gap(first, last)
        data = {"webhook": self.id, "first": first, "last": last} | ({"account": account} if account else {})
        await self._commit(lambda tx: self._journal.append(tx, "webhookGap", None, data))

    async def _commit(self, change: Callable[[Tx], Any]) -> None:
        """Commit, and wait for room if there is none."""
        while True:
            try:
                await self._store.commit(change)
                return
            except (StorageFull, StorageUnavailable):
                await trio.sleep(FULL_WAIT)

    # Where it stands.

    def _line(self, row: LineRow, until: int) -> AccountBacklog:
        line = AccountBacklog(
            row.account, row.seq, until, row.attempts, row.since, row.next_at, row.error, bool(row.gone)
        )
        line.resume(self._config.schedule, self._world.now())
        return line

    @property
    def _dirty(self) -> bool:
        return bool(self._touched) or self.position != self._kept_position

    async def _keep(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            if not self._dirty:
                continue
            with trio.move_on_at(self._kept_at + KEEP_EVERY):
                while self.health.delivered < self._kept_delivered + KEEP_AFTER:
                    await self._news.wait()
                    self._news = trio.Event()
            await self._keep_once()

    async def _keep_once(self) -> None:
        if self._held or not self._dirty:
            return
        touched, self._touched = self._touched, set()
        lag = [
            LineRow(line.account, line.seq, line.attempts, line.since, line.next_at, int(line.gone), line.error)
            for account in touched
            if (line := self.lines.get(account)) is not None
        ]
        done = [account for account in touched if account not in self.lines]
        position, health = self.position, msgspec.json.encode(self.health)
        # Count it as stored once submitted: a cancelled commit is still made.
        before, self._kept_position = self._kept_position, position
        self._kept_delivered, self._kept_at = self.health.delivered, trio.current_time()

        def change(tx: Tx) -> None:
            if not self._held:
                webhooks.keep(tx, self.id, position, health, lag, done)

        try:
            await self._store.commit(change)
        except (StorageFull, StorageUnavailable):
            self._touched |= touched
            self._kept_position = before
