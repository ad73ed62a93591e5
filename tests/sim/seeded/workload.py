"""The callers: requests drawn from the seed, through the functions the API calls, and what they make of the answers.

An action is a line in `_actions` and a method. A caller that got no answer knows nothing: with an Idempotency-Key it
asks again, without one it lets go.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from engine.api import account, outbox, queue_control
from engine.api.submit import submit
from engine.errors import Problem
from engine.isotime import iso
from engine.model.message_states import ENDED, State
from engine.schema.account import AccountCreate, AccountRemoveQuery, AccountUpdate
from engine.schema.outbox import OutboxQuery, OutboxUpdate
from engine.schema.queue_control import QueueUpdate
from engine.schema.submit import Submit, SubmitHeaders
from engine.store.tokens import Token
from seeded.ledger import Intent
from seeded.process import Unanswered

if TYPE_CHECKING:
    from seeded.universe import Universe

PAUSE = 900.0
"""Mean seconds between two things one caller does."""
CALLERS = 3
OWNER = Token(hash="", description="of the simulation", scopes=["*"], created=0.0)
TROUBLES = (
    "",
    "",
    "",
    "defer1",
    "defer3",
    "defer",
    "deferdata2",
    "reject",
    "rejectdata",
    "full2",
    "busy1",
    "greylist900",
    "slow30",
    "slow700",
    "hang1",
    "cut-at-data1",
    "cut-before-keep1",
    "cut-before-keep2",
    "cut-after-dot1",
    "cut-after-dot2",
)


@dataclass(frozen=True)
class AccountKind:
    """One account and where its servers are."""

    name: str
    provider: str
    smtp_host: str
    imap_host: str | None
    rate_limit: dict[str, float] | None = None

    @property
    def user(self) -> str:
        return f"{self.name}@sandbox.example"

    def registration(self, password: str) -> dict[str, Any]:
        """The body of `POST /v1/account`."""
        auth = {"user": self.user, "pass": password}
        smtp: dict[str, Any] = {"host": self.smtp_host, "port": 587, "auth": auth, "tls": {"required": False}}
        if self.rate_limit is not None:
            smtp["rateLimit"] = self.rate_limit
        given = {"account": self.name, "name": self.name, "email": self.user, "smtp": smtp}
        if self.imap_host is not None:
            given["imap"] = {"host": self.imap_host, "port": 143, "auth": auth, "tls": {"required": False}}
        return given


ACCOUNTS = (
    AccountKind("plain", "first", "smtp.first.example", "imap.first.example"),
    AccountKind("limited", "first", "smtp.first.example", "imap.first.example", {"messages": 2, "seconds": 600}),
    AccountKind("filing", "second", "smtp.second.example", "outlook.office365.com"),
    AccountKind("sending", "third", "smtp.third.example", None),
)


class Workload:
    """`run` is its service, until cancelled."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._ledger = universe.ledger
        self._dice = universe.dice("workload")
        self._registrations = dict.fromkeys((each.name for each in ACCOUNTS), 0)
        self._passwords = {each.name: "secret0" for each in ACCOUNTS}
        self._paused: set[str | None] = set()

    async def register_all(self) -> None:
        """Register the accounts while all is well."""
        for each in ACCOUNTS:
            await self._register(each)
        await trio.sleep(60)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(CALLERS):
                nursery.start_soon(self._call_again_and_again)

    async def put_right(self) -> None:
        """What an administrator does once the trouble is over: passwords, pauses, missing accounts."""
        for each in ACCOUNTS:
            await self._insist(self._register, each)
        for paused in sorted(self._paused, key=str):
            await self._insist(self._pause, paused, False)

    async def last_look(self) -> None:
        """The outbox as callers see it in the end."""
        page = await self._universe.call(outbox.listing, OutboxQuery(page_size=1000))
        for each in page["messages"]:
            if each["state"] not in (State.IN_DOUBT, State.HELD):
                self._universe.wrong(f"the outbox still shows {each['queueId']} as {each['state']}")
        for intent in self._ledger.acknowledged():
            entry = await self._universe.call(outbox.read, intent.queue_id)
            ended = entry["state"] in ENDED
            if not (ended or entry["state"] in (State.IN_DOUBT, State.HELD)) or ended is not (
                entry["waitingFor"] is None
            ):
                self._universe.wrong(f"{intent.queue_id} is shown as {entry['state']}, {entry['waitingFor']}")

    # Callers

    async def _call_again_and_again(self) -> None:
        actions = (
            (10, self._submit),
            (3, self._repeat),
            (1, self._reuse_a_key),
            (3, self._cancel),
            (1, self._send_now),
            (1, self._move),
            (3, self._choose),
            (1, self._pause_and_go_on),
            (1, self._change_password),
            (0.3, self._remove_account),
            (2, self._read),
        )
        while True:
            # Callers come in bursts.
            await trio.sleep(self._dice.expovariate(1 / PAUSE) if self._dice.random() < 0.3 else self._dice.random())
            (action,) = self._dice.choices([each for _, each in actions], [weight for weight, _ in actions])
            try:
                await action()
            except Unanswered:
                self._note(f"{action.__name__.strip('_')}: no answer")

    async def _submit(self) -> None:
        dice, kind = self._dice, self._dice.choice(ACCOUNTS)
        number = len(self._ledger.intents)
        to = [
            f"{word}+{number}.{place}@sandbox.example".removeprefix("+")
            for place, word in enumerate(dice.choices(TROUBLES, k=dice.choice((1, 1, 1, 2, 3))))
        ]
        body: dict[str, Any] = {"to": [{"address": each} for each in to], "subject": f"message {number}", "text": "Hi"}
        if dice.random() < 0.6:
            body["onDoubt"] = dice.choice(("resend", "hold", "fail"))
        if dice.random() < 0.2:
            body["sendAt"] = iso(self._universe.now() + dice.choice((60, 3600, 86_400)))
        if dice.random() < 0.3:
            body["deliveryAttempts"] = dice.choice((1, 2, 4))
        if dice.random() < 0.1:
            body["text"] = "Line after line.\n" * dice.choice((500, 10_000))
        key = f"key {number}" if dice.random() < 0.5 else None
        intent = Intent(f"message {number}", kind.name, self._registrations[kind.name], body, key)
        self._ledger.intents.append(intent)
        await self._hand_in(intent)

    async def _hand_in(self, intent: Intent) -> None:
        if intent.registration != self._registrations[intent.account]:
            intent.refused = True
            return
        body, headers = msgspec.convert(intent.body, Submit), SubmitHeaders(idempotency_key=intent.key)
        before, intent.tries = intent.queue_id, intent.tries + 1
        try:
            answer = await self._universe.call(submit, intent.account, body, headers)
        except Problem as problem:
            if problem.status not in (404, 503):
                raise
            intent.refused = before is None
            return
        intent.queue_id = answer["queueId"]
        self._note(f"{intent.subject} of {intent.account} is {intent.queue_id}")
        if intent.queue_id not in self._universe.oracle.known:
            self._universe.wrong(f"acknowledged and not in the journal: {intent}")
        if before is not None and before != intent.queue_id:
            self._universe.wrong(f"one key, two answers: {before}, {intent}")

    async def _repeat(self) -> None:
        keyed = self._ledger.unanswered() or [each for each in self._recent() if each.key]
        if keyed:
            await self._hand_in(self._dice.choice(keyed))

    async def _reuse_a_key(self) -> None:
        keyed = [each for each in self._recent() if each.key]
        if not keyed:
            return
        intent = self._dice.choice(keyed)
        if intent.registration != self._registrations[intent.account]:
            return
        other = {**intent.body, "subject": "another message under the same key"}
        headers = SubmitHeaders(idempotency_key=intent.key)
        try:
            await self._universe.call(submit, intent.account, msgspec.convert(other, Submit), headers)
        except Problem as problem:
            if problem.status == 409 or intent.registration != self._registrations[intent.account]:
                return
            raise
        if intent.registration == self._registrations[intent.account]:
            self._universe.wrong(f"another message was taken under the key of {intent}")

    async def _cancel(self) -> None:
        intent = self._any()
        if intent is None or intent.queue_id is None:
            return
        answer = await self._universe.call(outbox.cancel, intent.queue_id)
        self._note(f"cancel {intent.queue_id}: {answer}")
        if answer["deleted"]:
            self._ledger.cancelled.add(intent.queue_id)
            self._universe.oracle.taken_back(intent.queue_id)
            known = self._universe.oracle.known[intent.queue_id]
            sent = {to for to, state in known.recipients.items() if state is State.SENT}
            if sent != set(answer.get("alreadySent", ())):
                self._universe.wrong(f"already sent to {sent}, and the answer says {answer}")
        elif not answer["reason"]:
            self._universe.wrong(f"not deleted, and no reason: {intent.queue_id}")

    async def _send_now(self) -> None:
        await self._change(sendNow=True)

    async def _move(self) -> None:
        await self._change(sendAt=iso(self._universe.now() + self._dice.choice((-60, 60, 3600, 86_400))))

    async def _choose(self) -> None:
        await self._change(onDoubt=self._dice.choice(("resend", "hold", "fail")))

    async def _change(self, **members: Any) -> None:
        intent = self._any()
        if intent is None or intent.queue_id is None:
            return
        with self._universe.oracle.hurried(queue_id=intent.queue_id):
            answer = await self._universe.call(outbox.update, intent.queue_id, msgspec.convert(members, OutboxUpdate))
        self._note(f"change {intent.queue_id} {members}: {answer}")

    async def _pause_and_go_on(self) -> None:
        account = self._dice.choice((None, *(each.name for each in ACCOUNTS)))
        try:
            await self._pause(account, True)
            await trio.sleep(10 ** self._dice.uniform(1, 4))
            await self._insist(self._pause, account, False)
        except Problem as problem:
            if problem.status != 404:
                raise

    async def _pause(self, account: str | None, paused: bool) -> None:
        self._paused.add(account)
        members = {"paused": paused, **({"account": account} if account is not None else {})}
        await self._universe.call(queue_control.update, "submit", msgspec.convert(members, QueueUpdate))
        self._note(f"paused {account}: {paused}")

    async def _change_password(self) -> None:
        """The provider's password changes first; the account is updated later."""
        kind = self._dice.choice(ACCOUNTS)
        password = f"secret{self._dice.randrange(1000)}"
        self._passwords[kind.name] = password
        self._universe.providers[kind.provider].sandbox.set_password(kind.user, password)
        self._note(f"the password of {kind.name} changes")
        await trio.sleep(10 ** self._dice.uniform(0, 4.5))
        auth = {"user": kind.user, "pass": self._passwords[kind.name]}
        members: dict[str, Any] = {"smtp": {"partial": True, "auth": auth}}
        if kind.imap_host is not None:
            members["imap"] = {"partial": True, "auth": auth}
        try:
            with self._universe.oracle.hurried(account=kind.name):
                update = partial(account.update, caller=OWNER)
                await self._universe.call(update, kind.name, msgspec.convert(members, AccountUpdate))
        except Problem as problem:
            if problem.status != 404:
                raise
        self._note(f"{kind.name} is registered with it")

    async def _remove_account(self) -> None:
        kind = self._dice.choice(ACCOUNTS)
        # From now on it is unknown which registration a request meets.
        self._registrations[kind.name] += 1
        try:
            await self._universe.call(account.remove, kind.name, AccountRemoveQuery())
        except Problem as problem:
            if problem.status != 404:
                raise
        self._note(f"{kind.name} is removed")
        await trio.sleep(10 ** self._dice.uniform(0, 4))
        await self._insist(self._register, kind)

    async def _read(self) -> None:
        intent = self._any()
        if intent is not None and intent.queue_id is not None:
            entry = await self._universe.call(outbox.read, intent.queue_id)
            known = self._universe.oracle.known[intent.queue_id]
            if entry["state"] != known.state:
                self._universe.wrong(f"shown as {entry['state']}: {known}")

    # Their parts

    async def _register(self, kind: AccountKind) -> None:
        given = msgspec.convert(kind.registration(self._passwords[kind.name]), AccountCreate)
        with self._universe.oracle.hurried(account=kind.name):
            await self._universe.call(partial(account.register, caller=OWNER), given)
        self._registrations[kind.name] += 1
        self._note(f"{kind.name} is registered")

    async def _insist(self, action: Any, *arguments: Any) -> None:
        """Ask until there is an answer."""
        while True:
            try:
                await action(*arguments)
                return
            except Unanswered:
                await trio.sleep(1)

    def _recent(self) -> list[Intent]:
        return self._ledger.acknowledged()[-20:]

    def _any(self) -> Intent | None:
        """A message that was acknowledged, mostly one that is still open."""
        known = self._universe.oracle.known
        acknowledged = [each for each in self._ledger.acknowledged() if each.queue_id in known]
        still_open = [each for each in acknowledged if known[each.queue_id or ""].state not in ENDED]
        found = still_open if still_open and self._dice.random() < 0.8 else acknowledged
        return self._dice.choice(found[-30:]) if found else None

    def _note(self, text: str) -> None:
        self._universe.trace.note(text)
