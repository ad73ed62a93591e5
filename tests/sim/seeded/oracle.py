"""Watches every commit and says what must never be. It reads the folder itself and asks the engine nothing.

`look` runs after each commit, before anyone is answered. It takes in what the providers kept since the commit before,
judges that by what was on disk then, and after that judges the new rows and events.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

from engine.model.message_states import ENDED, State, message_state
from engine.sandbox.post_office import DeliveredMessage
from engine.store import database
from engine.world import STANDSTILL
from seeded.ledger import Ledger
from seeded.trace import Trace

EARLY = 0.05
"""Seconds that clocks and roundings may make of."""


@dataclass
class Known:
    """A message as the last commit left it, and what follows from how it came there."""

    queue_id: str
    account: str
    message_id: str
    subject: str
    state: State = State.QUEUED
    attempts_made: int = 0
    attempts_max: int = 0
    next_at: float | None = None
    dot_at: float | None = None
    send_at: float = 0.0
    scheduled: bool = False
    """Its caller chose the moment, and has not said `sendNow` since."""
    on_doubt: str = ""
    expires_at: float = 0.0
    recipients: dict[str, State] = field(default_factory=dict)
    not_before: float | None = None
    began: float = 0.0
    """When its last attempt began (wall clock)."""
    """Trio's time before which the next attempt may not begin; None where anything goes."""
    holds: bool = False
    """`onDoubt` is `hold`, has been since the previous commit, and no request is changing it."""
    waits_since: float | None = None
    """Trio's time from which its time limit counts; None where only the wall clock can tell."""
    may_repeat: bool = False
    """`onDoubt` was `resend` at some time."""
    account_removed: bool = False


class Oracle:
    """`wrong` is called with the first thing that must not be, and whatever else comes after it."""

    def __init__(
        self,
        ledger: Ledger,
        trace: Trace,
        deliveries: Callable[[], list[tuple[str, DeliveredMessage]]],
        now: Callable[[], float],
        waits: Callable[[int], float],
        horizon: Callable[[int], float],
        has_evidence: Callable[[str], bool],
        wrong: Callable[[str], None],
    ) -> None:
        self.known: dict[str, Known] = {}
        self.delivered: Counter[tuple[str, str]] = Counter()
        self.doubts: Counter[tuple[str, str]] = Counter()
        self._ledger = ledger
        self._trace = trace
        self._deliveries = deliveries
        self._now = now
        self._shortest_wait = waits
        self._horizon = horizon
        self._has_evidence = has_evidence
        self._wrong = wrong
        self._db: sqlite3.Connection | None = None
        self._by_row: dict[int, Known] = {}
        self._by_message_id: dict[str, Known] = {}
        self._open: set[int] = set()
        self._seq = 0
        self._named: Counter[tuple[str, str, str]] = Counter()
        self._failed: set[str] = set()
        self._parcels: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._read: set[tuple[str, str]] = set()
        self._starting = True
        self._stepped = False
        self._stalled_until = 0.0
        self._hurried: Counter[str] = Counter()

    # What the world tells

    def process_starts(self) -> None:
        """What follows until `process_answers` is the work of a start."""
        self._starting = True
        if self._stepped:
            # A start knows the wall clock only, so a step before it moves what is due.
            for each in self.known.values():
                each.not_before = each.waits_since = None

    def process_answers(self) -> None:
        """Recovery is done: everything acknowledged has to be there."""
        self._starting = False
        self._stepped = False
        for each in self._ledger.acknowledged():
            if each.queue_id not in self.known:
                self._wrong(f"lost: {each.queue_id} was acknowledged")

    def process_ended(self) -> None:
        """Whatever it had read and not recorded is forgotten; the folder has its last state."""
        if self._db is not None:
            self._db.close()
            self._db = None
        self._read = {(message, to) for message, to in self._read if self._state(message, to) is State.SENT}

    def clock_stepped(self, seconds: float) -> None:
        """The wall clock moved. Hours ahead look like a machine that stood still: what is due by then goes."""
        self._stepped = True
        if 0 < seconds <= STANDSTILL:
            for each in self.known.values():
                each.not_before = each.waits_since = None

    def disk_stalls(self, until: float) -> None:
        """Outcomes may be written later than they were known, until then (Trio's time)."""
        self._stalled_until = until

    def acceptance_read(self, provider: str, queue_id: str) -> None:
        """The engine has read the provider's 250 to this message."""
        self._take_deliveries()
        self._read.update(self._parcels.get((provider, queue_id), ()))

    @contextmanager
    def hurried(self, *, account: str = "", queue_id: str = "") -> Iterator[None]:
        """While a caller asks for something that makes mail due at once."""
        concerned = account or queue_id
        self._hurried[concerned] += 1
        try:
            yield
        finally:
            self._hurried[concerned] -= 1
            for each in self.known.values():
                if concerned in (each.account, each.queue_id):
                    each.not_before = None
                if concerned == each.queue_id:
                    each.scheduled = each.next_at == each.send_at > self._now()

    # After each commit

    def look(self, folder: Path) -> None:
        """Judge what the last commit did."""
        if self._db is None:
            self._db = database.open_reader(folder)
        self._take_deliveries()
        before = {row: State(self._by_row[row].state) for row in self._open}
        self._read_removals(self._db)
        self._read_messages(self._db)
        new_states = self._read_recipients(self._db)
        self._read_events(self._db, new_states)
        self._judge_bodies(self._db, folder)
        for row in list(self._open):
            known = self._by_row[row]
            if known.state in ENDED:
                self._judge_end(known)
                self._open.discard(row)
            elif before.get(row) is not known.state or row not in before:
                self._judge_open(known)

    def unsettled(self, db: sqlite3.Connection) -> list[str]:
        """What is still to be done, except for what waits for a decision; empty once everything has settled."""
        left = []
        for row in self._open:
            known = self._by_row[row]
            waits = known.state is State.HELD or (known.state is State.IN_DOUBT and known.on_doubt == "hold")
            if not waits:
                left.append(f"not settled: {known}")
        (copies,) = db.execute("SELECT count(*) FROM sent_copy").fetchone()
        if copies:
            left.append(f"not settled: {copies} Sent copies are still to be made")
        return left

    # Its parts

    def _state(self, message_id: str, to: str) -> State | None:
        known = self._by_message_id.get(message_id)
        return known.recipients.get(to) if known else None

    def _take_deliveries(self) -> None:
        for provider, each in self._deliveries():
            pair = (each.message_id, each.recipient)
            self._trace.note(f"kept by {provider} for {each.recipient} {each.message_id}")
            known = self._by_message_id.get(each.message_id)
            if known is None:
                self._wrong(f"delivered and not in the journal: {each}")
                continue
            about = f"{known.queue_id} to {each.recipient}"
            if known.dot_at is None:
                self._wrong(f"delivered without a committed dot: {about}, {known}")
            if known.recipients.get(each.recipient) in ENDED:
                self._wrong(f"delivered after its end: {about}, {known}")
            if pair in self._read:
                self._wrong(f"delivered again though the acceptance was read: {about}")
            if self.delivered[pair] > self.doubts[pair]:
                self._wrong(f"delivered {self.delivered[pair] + 1} times, {self.doubts[pair]} doubts said: {about}")
            if self.delivered[pair] and not known.may_repeat:
                self._wrong(f"delivered twice with onDoubt={known.on_doubt}: {about}")
            self.delivered[pair] += 1
            self._parcels.setdefault((provider, each.queue_id), []).append(pair)
            self._judge_taken_back(known.queue_id)

    def _judge_taken_back(self, queue_id: str) -> None:
        if queue_id not in self._ledger.cancelled:
            return
        known = self.known[queue_id]
        for to, state in known.recipients.items():
            if state is State.CANCELLED and self.delivered[known.message_id, to]:
                self._wrong(f"deleted: true, yet it went: {queue_id} to {to}")

    def taken_back(self, queue_id: str) -> None:
        """A cancellation was answered with `deleted: true`, which the ledger knows."""
        self._take_deliveries()
        if self.known[queue_id].state not in ENDED:
            self._wrong(f"deleted: true, yet it is still open: {self.known[queue_id]}")
        self._judge_taken_back(queue_id)

    def _read_removals(self, db: sqlite3.Connection) -> None:
        rows = db.execute(
            "SELECT account FROM event WHERE seq > ? AND name = 'accountDeleted'", (self._seq,)
        ).fetchall()
        for (account,) in rows:
            for each in self.known.values():
                each.account_removed = each.account_removed or each.account == account

    def _read_messages(self, db: sqlite3.Connection) -> None:
        last = max(self._by_row, default=0)
        marks = ", ".join(map(str, self._open))
        rows = db.execute(
            "SELECT id, queue_id, account, message_id, subject, state, attempts_made, attempts_max, next_at, dot_at, "
            f"send_at, on_doubt, expires_at FROM message WHERE id > ? OR id IN ({marks}) ORDER BY id",
            (last,),
        ).fetchall()
        found = {row[0] for row in rows}
        for row in self._open - found:
            self._wrong(f"gone from the journal: {self._by_row[row]}")
        for row, *values in rows:
            known = self._by_row.get(row)
            if known is None:
                queue_id, account, message_id, subject = values[:4]
                known = Known(queue_id, account, message_id, subject, waits_since=trio.current_time())
                self._by_row[row] = self.known[known.queue_id] = self._by_message_id[known.message_id] = known
                self._open.add(row)
                if sum(each.subject == known.subject for each in self.known.values()) > 1:
                    self._wrong(f"one request, two messages: {known}")
                known.scheduled = values[9] > self._now() + EARLY
            self._take_row(known, *values[4:])

    def _take_row(
        self,
        known: Known,
        state: str,
        made: int,
        most: int,
        next_at: float | None,
        dot_at: float | None,
        send_at: float,
        on_doubt: str,
        expires_at: float,
    ) -> None:
        was, now = known.state, State(state)
        free = self._starting or self._hurried[known.account] or self._hurried[known.queue_id]
        if now is State.SENDING and (was is not State.SENDING or made > known.attempts_made):
            self._judge_beginning(known, made)
            known.began = self._now()
        if expires_at != known.expires_at and known.waits_since is not None:
            known.waits_since = trio.current_time()
        free = free or trio.current_time() < self._stalled_until
        if made < known.attempts_made or (was is State.IN_DOUBT and now is State.DEFERRED) or free:
            known.not_before = None
        elif next_at is not None and next_at < known.began:
            # The server was not heard of: the lane waits, until the host answers, and the message is due all the while.
            known.not_before = None
        elif was is State.SENDING and now is not State.SENDING:
            wait = self._shortest_wait(made)
            known.not_before = trio.current_time() + min(wait, max(0.0, expires_at - self._now())) - EARLY
        known.holds = known.on_doubt == on_doubt == "hold" and not self._hurried[known.queue_id]
        known.state, known.attempts_made, known.attempts_max = now, made, most
        known.next_at, known.dot_at, known.send_at = next_at, dot_at, send_at
        known.on_doubt, known.expires_at = on_doubt, expires_at
        known.may_repeat = known.may_repeat or on_doubt == "resend"

    def _judge_beginning(self, known: Known, made: int) -> None:
        self._trace.note(f"try {made} of {known.queue_id} begins")
        if known.not_before is not None and trio.current_time() < known.not_before:
            self._wrong(f"try {made} begins {known.not_before - trio.current_time():.1f} s early: {known}")
        if known.scheduled and made == 1 and self._now() < known.send_at - EARLY and not self._hurried[known.queue_id]:
            self._wrong(f"sent before its time: {known} at {self._now()}")
        if made > known.attempts_max:
            self._wrong(f"tried more often than allowed: {known}")

    def _read_recipients(self, db: sqlite3.Connection) -> dict[tuple[str, str], State]:
        changed: dict[tuple[str, str], State] = {}
        marks = ", ".join(map(str, self._open))
        rows = db.execute(f"SELECT message, address, state, code FROM recipient WHERE message IN ({marks})")
        for row, address, state, code in rows:
            known = self._by_row[row]
            was, now = known.recipients.get(address), State(state)
            if was is now:
                continue
            if was in ENDED:
                self._wrong(f"{known.queue_id} to {address} had ended as {was} and is {now}")
            if was is not None:
                self._trace.note(f"{known.queue_id} to {address}: {was} -> {now}")
            if was is State.IN_DOUBT and now is State.FAILED and known.holds and not self._has_evidence(known.account):
                self._wrong(f"given up without being asked: {known.queue_id} to {address}, {known}")
            if now is State.FAILED and was is not State.IN_DOUBT and not known.account_removed:
                self._judge_giving_up(known, address, code)
            known.recipients[address] = now
            changed[known.queue_id, address] = now
        return changed

    def _judge_giving_up(self, known: Known, to: str, code: int | None) -> None:
        """What was not refused for good is given up after its last attempt, or after the time that all take."""
        refused = (code or 0) >= 500 and code != 535
        spent = known.attempts_made >= known.attempts_max
        if refused or spent or known.waits_since is None or known.on_doubt == "fail":
            return
        waited, tries = trio.current_time() - known.waits_since, known.attempts_made
        if waited < self._horizon(known.attempts_max) - EARLY:
            self._wrong(f"given up after {waited:.0f} s and {tries} tries: {known.queue_id} to {to}, {known}")

    def _read_events(self, db: sqlite3.Connection, changed: dict[tuple[str, str], State]) -> None:
        for seq, account, name, body in db.execute(
            "SELECT seq, account, name, body FROM event WHERE seq > ? ORDER BY seq", (self._seq,)
        ):
            if seq != self._seq + 1:
                self._wrong(f"event {seq} comes after {self._seq}")
            self._seq = seq
            event = msgspec.json.decode(body)
            data = event["data"]
            self._trace.note(f"event {seq} {name} {account} {data.get('queueId', '')}")
            if event["seq"] != seq or event["event"] != name:
                self._wrong(f"event {seq} says {event['seq']} {event['event']}")
            if name.startswith("message") and name not in ("messageCopyFailed", "messageNew"):
                self._judge_event(name, data, changed)

    def _judge_event(self, name: str, data: dict[str, Any], changed: dict[tuple[str, str], State]) -> None:
        queue_id, message_id = data["queueId"], data["messageId"]
        known = self.known.get(queue_id)
        if known is None:
            self._wrong(f"{name} of a message that is not in the journal: {data}")
            return
        if name == "messageInDoubt":
            for to in data["envelope"]["to"]:
                self.doubts[message_id, to] += 1
                if (message_id, to) in self._read:
                    self._wrong(f"in doubt though its acceptance was read: {queue_id} to {to}")
        for to in data.get("accepted", ()):
            self._named[queue_id, to, "sent"] += 1
            if changed.get((queue_id, to)) is not State.SENT:
                self._wrong(f"messageSent names {to} of {queue_id}, which is {known.recipients.get(to)}")
            if not self.delivered[message_id, to]:
                self._wrong(f"messageSent names {to} of {queue_id}, whom nobody kept it for")
        for each in data.get("rejected", ()):
            self._named[queue_id, each["address"], "failed"] += 1
            if known.recipients.get(each["address"]) is not State.FAILED:
                self._wrong(f"{name} says {each['address']} of {queue_id} was rejected: {known}")
        if name == "messageFailed":
            if queue_id in self._failed or known.state not in ENDED:
                self._wrong(f"messageFailed out of place: {known}")
            self._failed.add(queue_id)
        if name == "messageCancelled":
            for to in data["envelope"]["to"]:
                self._named[queue_id, to, "cancelled"] += 1

    def _judge_bodies(self, db: sqlite3.Connection, folder: Path) -> None:
        stale = db.execute(
            "SELECT message FROM body JOIN message m ON m.id = message WHERE m.ended IS NOT NULL "
            "AND message NOT IN (SELECT message FROM sent_copy)"
        ).fetchall()
        for (row,) in stale:
            self._wrong(f"its body outlives it: {self._by_row[row]}")
        for row, spool in db.execute("SELECT message, spool FROM body WHERE spool IS NOT NULL").fetchall():
            if not (folder / "spool" / spool).exists():
                self._wrong(f"its body is gone from the spool: {self._by_row[row]}")
        missing = db.execute(
            "SELECT id FROM message WHERE ended IS NULL AND id NOT IN (SELECT message FROM body)"
        ).fetchall()
        for (row,) in missing:
            self._wrong(f"open without a body: {self._by_row[row]}")

    def _judge_open(self, known: Known) -> None:
        if known.state is not State.SENDING and known.state is not message_state(known.recipients.values()):
            self._wrong(f"not the sum of its recipients: {known}")
        decided = known.state is State.IN_DOUBT and known.on_doubt == "hold"
        others = {State.QUEUED, State.DEFERRED} & set(known.recipients.values())
        if decided and known.next_at is not None and not others:
            self._wrong(f"waits for a decision and is due all the same: {known}")
        if known.next_at is None and not decided and known.state not in (State.HELD, State.SENDING):
            self._wrong(f"forgotten: open, and nothing is due: {known}")

    def _judge_end(self, known: Known) -> None:
        if known.state is not message_state(known.recipients.values()):
            self._wrong(f"not the sum of its recipients: {known}")
        for to, state in known.recipients.items():
            times = self._named[known.queue_id, to, state.value]
            if state is not State.SENT and known.account_removed:
                # What is left of it ends without a word of its own.
                continue
            if state is State.FAILED and State.CANCELLED in known.recipients.values():
                # Given up in doubt, which was said; the rest was taken back.
                times += self.doubts[known.message_id, to]
            if not times or (state is State.SENT and times > 1):
                self._wrong(f"{known.queue_id} to {to} ended as {state}, which {times} events say")
