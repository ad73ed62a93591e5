"""The timeline of each message is held against the ledger of the receiving server, and against the journal.

`TIMELINE_MESSAGES=2000` makes it more of them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from answers import plain
from asking import Caller
from inbox import folder
from person import SERVICE
from simulation import Engine, Simulation, came

from engine.api import timeline
from engine.api.app import make_app
from engine.errors import Problem
from engine.isotime import iso
from engine.schema.timeline import TimelineQuery
from engine.signed_links import query_of
from engine.store import database, events, held_messages
from engine.store.tokens import Token
from engine.web.site import pages

SEED = 2121
COUNT = int(os.environ.get("TIMELINE_MESSAGES", "200"))
HOUR = 3600.0
FATES = {
    "plain": "you@sandbox.example",
    "deferred": "defer2+{n}@sandbox.example",
    "refused": "reject+{n}@sandbox.example",
    "content": "rejectdata+{n}@sandbox.example",
    "doubt": "cut-after-dot1+{n}@sandbox.example",
    "held": "cut-after-dot9+{n}@sandbox.example",
    "several": "a{n}@sandbox.example defer1+{n}@sandbox.example reject+{n}@sandbox.example",
    "cancelled": "c{n}@sandbox.example",
    "moved": "m{n}@sandbox.example",
    "bounced": "b{n}@elsewhere.example",
    "delayed": "d{n}@elsewhere.example",
    "complaint": "s{n}@elsewhere.example",
    "answered": "r{n}@elsewhere.example",
    "read": "o{n}@elsewhere.example",
    "left": "l{n}@elsewhere.example",
}
TYPES = {
    "plain": {"accepted", "attempt", "sent", "copyFiled"},
    "deferred": {"accepted", "attempt", "deliveryError", "sent", "copyFiled"},
    "refused": {"accepted", "attempt", "deliveryError", "failed"},
    "content": {"accepted", "attempt", "deliveryError", "failed"},
    "doubt": {"accepted", "attempt", "deliveryError", "inDoubt", "sent", "copyFiled"},
    "held": {"accepted", "attempt", "deliveryError", "inDoubt", "doubtDecided", "failed"},
    "several": {"accepted", "attempt", "deliveryError", "sent", "copyFiled"},
    "cancelled": {"accepted", "cancelled"},
    "moved": {"accepted", "rescheduled", "onDoubtChanged", "attempt", "sent", "copyFiled"},
    "bounced": {"accepted", "attempt", "sent", "copyFiled", "bounce"},
    "delayed": {"accepted", "attempt", "sent", "copyFiled", "deliveryReport"},
    "complaint": {"accepted", "attempt", "sent", "copyFiled", "complaint"},
    "answered": {"accepted", "attempt", "sent", "copyFiled", "reply"},
    "read": {"accepted", "attempt", "sent", "copyFiled", "open", "click"},
    "left": {"accepted", "attempt", "sent", "copyFiled", "unsubscribe", "subscribe"},
}
REPORT = (
    "From: MAILER-DAEMON@mx.example\r\nTo: acme@sandbox.example\r\nSubject: report\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; boundary="b"; report-type={kind}\r\n\r\n'
    "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/{kind}\r\n\r\n{part}\r\n"
    "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message}\r\n\r\n--b--\r\n"
)
STATUS = (
    "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; {to}\r\nAction: {action}\r\nStatus: {status}\r\n"
    "Diagnostic-Code: smtp; {said}\r\n"
)
FEEDBACK = "Feedback-Type: abuse\r\nUser-Agent: x\r\nVersion: 1\r\nOriginal-Rcpt-To: {to}\r\n"
ANSWER = (
    "From: {to}\r\nTo: acme@sandbox.example\r\nMessage-ID: <re-{n}@x.example>\r\nIn-Reply-To: {message}\r\n\r\nYes.\r\n"
)


class Sent:
    """One message: what it is to meet, and what its submission answered."""

    def __init__(self, number: int, fate: str, answer: dict[str, Any]) -> None:
        self.fate = fate
        self.number = number
        self.to = FATES[fate].format(n=number).split()
        self.queue_id: str = answer["queueId"]
        self.message_id: str = answer["messageId"]


class World:
    """The engine, and who asks it."""

    def __init__(self, engine: Engine, caller: Caller) -> None:
        self.engine = engine
        self.caller = caller
        self.context = engine.context

    async def submit(self, number: int) -> Sent:
        fate = [*FATES][number % len(FATES)]
        more: dict[str, Any] = {"onDoubt": "hold"} if fate == "held" else {}
        if fate in ("cancelled", "moved"):
            more["sendAt"] = iso(self.context.world.now() + 5 * HOUR)
        answer = await self.engine.submit("acme", *FATES[fate].format(n=number).split(), **more)
        return Sent(number, fate, answer)

    async def meet(self, sent: Sent) -> None:
        """What happens to a message apart from being sent."""
        if sent.fate == "cancelled":
            assert (await self.engine.cancel(sent.queue_id))["deleted"]
        elif sent.fate == "moved":
            assert (await self.engine.change(sent.queue_id, sendAt=iso(self.context.world.now() + HOUR)))["updated"]
            await self.engine.change(sent.queue_id, onDoubt="fail")
        elif sent.fate == "held":
            await self.engine.change(sent.queue_id, onDoubt="hold")
        elif sent.fate == "read":
            members = {"acc": "acme", "msg": sent.message_id}
            await self.visit("/open.gif", {"act": "open", **members})
            await self.visit("/redirect", {"act": "click", **members, "url": "https://x.example/"})
        elif sent.fate == "left":
            members = {"act": "unsub", "acc": "acme", "list": "news", "rcpt": sent.to[0], "msg": sent.message_id}
            await self.visit("/unsubscribe", members, "POST", b"List-Unsubscribe=One-Click")
            await self.visit("/unsubscribe", members, "POST", b"action=subscribe")
        elif (raw := self.report(sent)) is not None:
            folder(self.engine).add(raw.encode(), self.context.world.now())

    async def visit(self, path: str, members: dict[str, str], method: str = "GET", raw: bytes = b"") -> None:
        query = query_of(msgspec.json.encode(members), await self.context.link_keys.shared())
        headers = {"Authorization": "", "Content-Type": "application/x-www-form-urlencoded"}
        answer = await self.caller.ask(method, f"{path}?{query}", headers=headers, raw=raw)
        assert answer.status in (200, 302, 303), answer.body

    def report(self, sent: Sent) -> str | None:
        if sent.fate == "bounced":
            part = STATUS.format(to=sent.to[0], action="failed", status="5.1.1", said="550 5.1.1 User unknown")
            return REPORT.format(kind="delivery-status", part=part, message=sent.message_id)
        if sent.fate == "delayed":
            part = STATUS.format(to=sent.to[0], action="delayed", status="4.4.1", said="451 4.4.1 No answer")
            return REPORT.format(kind="delivery-status", part=part, message=sent.message_id)
        if sent.fate == "complaint":
            part = FEEDBACK.format(to=sent.to[0])
            return REPORT.format(kind="feedback-report", part=part, message=sent.message_id)
        if sent.fate == "answered":
            return ANSWER.format(to=sent.to[0], n=sent.number, message=sent.message_id)
        return None

    async def timeline(self, queue_id: str, caller: Token | None = None, size: int = 1000) -> list[dict[str, Any]]:
        """All pages of a timeline."""
        found: list[dict[str, Any]] = []
        for number in range(100):
            query = TimelineQuery(page=number, page_size=size)
            page = plain(await timeline.read(self.context, queue_id, query, caller=caller))
            found += page["entries"]
            if len(found) == page["total"]:
                return found
        raise AssertionError("it has no end")


def about(event: dict[str, Any]) -> Iterator[str]:
    """The queue ids and Message-IDs that an event names."""
    data = event["data"]
    yield data.get("queueId") or data.get("job", {}).get("id", "")
    if event["event"] in ("trackOpen", "trackClick", "listUnsubscribe", "listSubscribe"):
        yield data.get("messageId", "")
    if "deliveryReport" in data:
        yield data.get("relatedMessageId", "")


def by_message(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for event in engine.events("acme"):
        for name in about(event):
            found[name].append(event)
    return found


async def test_timelines_of_all_fates(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", SEED).running() as engine:
        await engine.register("acme")
        await engine.context.settings.update(service_url=SERVICE)
        world = World(engine, await Caller.of(engine, app=make_app(engine.context, pages(engine.context))))
        mail = [await world.submit(number) for number in range(COUNT)]
        await trio.sleep(HOUR)
        for each in mail:
            await world.meet(each)
        await trio.sleep(6 * HOUR)
        for each in mail:
            if each.fate == "held":
                await engine.change(each.queue_id, onDoubt="fail")
        await trio.sleep(60)
        journal, ledger = by_message(engine), came(engine)
        assert len(mail) == COUNT
        for each in mail:
            entries = await world.timeline(each.queue_id)
            outbox = await engine.entry(each.queue_id)
            where = (each.fate, each.queue_id, entries)
            assert {entry["type"] for entry in entries} == TYPES[each.fate], where
            # The journal.
            told = sorted(journal[each.queue_id] + journal[each.message_id], key=lambda event: event["seq"])
            named = [(entry["seq"], entry["event"], entry["eventId"]) for entry in entries if "seq" in entry]
            assert named == [(event["seq"], event["event"], event["eventId"]) for event in told], where
            # The order.
            assert entries[0]["type"] == "accepted" and entries[0]["at"] == outbox["created"], where
            assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries), where
            # The attempts, each before what came of it.
            tried = [entry["attempt"] for entry in entries if entry["type"] == "attempt"]
            assert tried == outbox["attemptLog"] and all(attempt["transcript"] for attempt in tried), where
            for position, entry in enumerate(entries):
                if entry["type"] in ("sent", "deliveryError"):
                    before = [one for one in entries[:position] if one["type"] == "attempt"]
                    assert before and before[-1]["attempt"]["ended"] <= entry["at"], where
            # The ledger: each recipient whom a server accepted is in it, and in no other case but a doubt.
            sent = [address for entry in entries if entry["type"] == "sent" for address in entry["recipients"]]
            doubts = sum(entry["type"] == "inDoubt" for entry in entries)
            assert len(sent) == len(set(sent)) and ledger.count(each.message_id) == len(sent) + doubts, where
            states = {one["address"] for one in outbox["recipients"] if one["state"] in ("sent", "bounced")}
            assert set(sent) == states, where
        assert await world.timeline(mail[6].queue_id, size=2) == await world.timeline(mail[6].queue_id)


async def test_what_retention_removed_is_said(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", SEED).running() as engine:
        await engine.register("acme")
        world = World(engine, await Caller.of(engine))
        sent = Sent(0, "bounced", await engine.submit("acme", "b0@elsewhere.example"))
        await trio.sleep(60)
        await world.meet(sent)
        await engine.event("acme", "messageBounce")
        before = await world.timeline(sent.queue_id)
        await engine.context.store.commit(lambda tx: events.remove(tx, tx.last_seq - 1))
        after = await world.timeline(sent.queue_id)
        kept = [{name: entry[name] for name in ("type", "seq") if name in entry} for entry in before]
        assert [{name: entry[name] for name in ("type", "seq") if name in entry} for entry in after] == kept
        gone = [entry for entry in after if entry.get("eventRemoved")]
        assert [entry["type"] for entry in gone] == ["sent"] and "eventId" not in gone[0]
        (bounce,) = [entry for entry in after if entry["type"] == "bounce"]
        await engine.context.store.commit(lambda tx: events.remove(tx, tx.last_seq))
        (removed,) = [entry for entry in await world.timeline(sent.queue_id) if entry["type"] == "bounce"]
        for name in ("recipients", "response", "category", "bounceType", "status", "seq"):
            assert removed[name] == bounce[name], name


async def test_others_do_not_see_it(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", SEED).running() as engine:
        await engine.register("acme")
        await engine.register("other")
        world = World(engine, await Caller.of(engine))
        answer = await engine.submit("acme", "you@sandbox.example")
        own, other = (Token("1" * 64, "x", ["api"], 0.0, account=name) for name in ("acme", "other"))
        assert await world.timeline(answer["queueId"], own)
        for queue_id, caller in ((answer["queueId"], other), ("1a210b17e9b8ceea519", own)):
            with pytest.raises(Problem) as error:
                await world.timeline(queue_id, caller)
            assert error.value.status == 404


async def test_a_restored_message_was_held_and_released(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED)
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "you@sandbox.example", sendAt=iso(engine.context.world.now() + 60))
        now = engine.context.world.now()
        await engine.context.store.commit(lambda tx: held_messages.hold(tx, now))
        db = database.open_writer(tmp_path / "data")
        held_messages.release(db, now)
        db.close()
        world = World(engine, await Caller.of(engine))
        entries = await world.timeline(answer["queueId"])
        assert [(each["type"], each.get("reason")) for each in entries] == [
            ("accepted", None),
            ("held", "restored"),
            ("released", None),
        ]
