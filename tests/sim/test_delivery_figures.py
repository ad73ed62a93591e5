"""How mail fares, by account and domain: what `GET /v1/stats` and the first page say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio.testing
from asking import Caller
from inbox import folder
from simulation import Engine, Simulation
from visitor import Visitor

from engine.events import delivery_counts
from engine.isotime import iso
from engine.store import delivery_figures
from engine.store.delivery_figures import HOUR
from engine.store.writer import Tx

SEED = 2122
DAY = 86_400.0
BOUNCE = (
    "From: MAILER-DAEMON@mx.example\r\nTo: acme@sandbox.example\r\nSubject: report\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; boundary="b"; report-type=delivery-status\r\n\r\n'
    "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.2.2\r\n"
    "Diagnostic-Code: smtp; 552 5.2.2 Mailbox full\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    "Message-ID: {message}\r\n\r\n--b--\r\n"
)
REPLY = "From: {to}\r\nTo: acme@sandbox.example\r\nMessage-ID: <re@x.example>\r\nIn-Reply-To: {message}\r\n\r\nYes.\r\n"
NOTHING = {
    "sent": 0,
    "deferred": 0,
    "failed": 0,
    "bounced": 0,
    "hard": 0,
    "soft": 0,
    "categories": {},
    "complaints": 0,
    "replies": 0,
    "timeToAccept": None,
}


async def delivery(engine: Engine, query: str = "") -> dict[str, Any]:
    answer = await (await Caller.of(engine)).ask("GET", f"/v1/stats?seconds=0{query}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json["delivery"]
    return found


def but_times(counts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in counts.items() if name not in ("timeToAccept", "domain", "account")}


async def test_what_happened_is_counted_once(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED)
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.register("other")
        assert (await delivery(engine))["total"] == NOTHING
        answers = [
            await engine.submit("acme", "a@one.example", "b@One.Example", "defer1+c@sandbox.example"),
            await engine.submit("acme", "reject+d@sandbox.example"),
            await engine.submit("acme", "d@two.example"),
            await engine.submit("other", "e@one.example"),
            await engine.submit("other", "never@one.example", sendAt=iso(engine.context.world.now() + 30 * DAY)),
        ]
        await engine.until_ended(*(each["queueId"] for each in answers[:4]))
        await engine.cancel(answers[4]["queueId"])
        for raw, to in ((BOUNCE, "d@two.example"), (BOUNCE, "d@two.example"), (REPLY, "d@two.example")):
            text = raw.format(to=to, message=answers[2]["messageId"])
            folder(engine).add(text.encode(), engine.context.world.now())
        await engine.event("acme", "messageReply")
        assert len(engine.events("acme", "messageBounce")) == 2  # the same was reported twice
        found = await delivery(engine)
        assert but_times(found["total"]) == {
            **but_times(NOTHING),
            "sent": 5,
            "deferred": 1,
            "failed": 1,
            "bounced": 1,
            "hard": 1,
            "soft": 1,
            "categories": {"user_unknown": 1, "mailbox_full": 1},
            "replies": 1,
        }
        by_domain = {each["domain"]: (each["sent"], each["failed"], each["bounced"]) for each in found["domains"]}
        assert by_domain == {"one.example": (3, 0, 0), "sandbox.example": (1, 1, 0), "two.example": (1, 0, 1)}
        assert {each["account"]: each["sent"] for each in found["accounts"]} == {"acme": 4, "other": 1}
        times = found["total"]["timeToAccept"]
        assert (times["median"], times["within"]["86400"]) == (1, 5)
        assert times["within"]["1"] == 4  # that to `defer1` took longer
        of_one = await delivery(engine, "&account=acme&domain=ONE.example")
        assert (of_one["total"]["sent"], len(of_one["domains"]), len(of_one["accounts"])) == (2, 1, 1)
    # Neither a stop nor an end without one loses anything, and days are found by their times.
    async with simulation.running(cut=True) as engine:
        assert (await delivery(engine))["total"] == found["total"]
        last = await engine.submit("other", "f@two.example")
        await engine.until_ended(last["queueId"])
    async with simulation.running() as engine:
        assert (await delivery(engine))["total"]["sent"] == 6
        now = engine.context.world.now()
        assert (await delivery(engine, f"&from={iso(now - 8 * DAY)}&to={iso(now - DAY)}"))["total"] == NOTHING
        hour = now - now % 3600
        assert (await delivery(engine, f"&from={iso(hour + 3600)}&to={iso(hour + DAY)}"))["total"] == NOTHING
        assert (await delivery(engine, f"&from={iso(hour - DAY)}&to={iso(hour + 3600)}"))["total"]["sent"] == 6


async def test_whole_hours_and_days_are_counted_and_said(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with Simulation(tmp_path / "data", SEED).running() as engine:
        now = engine.context.world.now()
        day = now - now % DAY
        old, late = day - 20 * DAY, day - 2 * DAY

        def change(tx: Tx) -> None:
            for at in (old + 3 * HOUR, late + 3 * HOUR):
                delivery_figures.add(tx, int(at) // HOUR, "acme", {("xn--bcher-kva.example", "sent/0"): 1})
            while delivery_figures.compact(tx, now):
                pass

        await engine.context.store.commit(change)
        whole = await delivery(engine, f"&from={iso(old + 5 * HOUR + 60)}&to={iso(old + 6 * HOUR)}")
        assert (whole["from"], whole["to"], whole["total"]["sent"]) == (iso(old), iso(old + DAY), 1)
        hour = await delivery(engine, f"&from={iso(late + 3 * HOUR + 60)}&to={iso(late + 3 * HOUR + 120)}")
        assert (hour["from"], hour["to"], hour["total"]["sent"]) == (iso(late + 3 * HOUR), iso(late + 4 * HOUR), 1)
        named = await delivery(engine, f"&from={iso(late)}&domain=B%C3%BCcher.example")
        assert named["total"]["sent"] == 1


@pytest.mark.parametrize(
    "query", ["from=2027-01-02T00:00:00Z&to=2027-01-01T00:00:00Z", "from=2020-01-01T00:00:00Z", "from=x", "domain="]
)
async def test_a_wrong_span(tmp_path: Path, query: str, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", SEED).running() as engine:
        answer = await (await Caller.of(engine)).ask("GET", f"/v1/stats?{query}")
        assert answer.status == 400, answer.body
        assert [each["key"] for each in answer.json["fields"]] == [
            query.partition("=")[0] if "&" not in query else "to"
        ]


async def test_domains_and_labels_are_bounded(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_counts, "MOST_DOMAINS", 3)
    monkeypatch.setattr(delivery_counts, "MOST_LABELS", 2)
    simulation = Simulation(tmp_path / "data", SEED)
    async with simulation.running() as engine:
        await engine.register("acme")
        queued = [await engine.submit("acme", *(f"x@d{number}.example" for number in range(5)))]
        queued += [await engine.submit("acme", "x@d9.example"), await engine.submit("acme", "x@d1.example")]
        await engine.until_ended(*(each["queueId"] for each in queued))
        domains = {each["domain"]: each["sent"] for each in (await delivery(engine))["domains"]}
        assert domains == {"d0.example": 1, "d1.example": 2, "d2.example": 1, "": 3}
        counted = engine.context.streams.journal.deliveries.domains.outcomes
        assert counted == {("d0.example", "sent"): 1, ("d1.example", "sent"): 2, ("other", "sent"): 4}
    async with simulation.running() as engine:
        # The busiest have labels from the start; the domains of the hour are known again.
        queued = [await engine.submit("acme", "x@new.example"), await engine.submit("acme", "x@d1.example")]
        await engine.until_ended(*(each["queueId"] for each in queued))
        counted = engine.context.streams.journal.deliveries.domains.outcomes
        assert counted == {("other", "sent"): 1, ("d1.example", "sent"): 1}
        assert {each["domain"] for each in (await delivery(engine))["domains"]} == {*domains}


async def test_a_drop_is_marked(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", SEED).running() as engine:
        await engine.register("acme")
        ann = await Visitor.at(engine)
        await ann.enter()
        await ann.get("/admin")
        assert not ann.has("Where mail went")
        now = int(engine.context.world.now() // 3600)

        def past(tx: Any) -> None:
            for hour, domain, good, bad in (
                (-50, "down", 99, 1),
                (0, "down", 30, 10),
                (-50, "up", 90, 10),
                (0, "up", 9, 1),
            ):
                counts = {(f"{domain}.example", "sent/0"): good, (f"{domain}.example", "failed/hard/unknown"): bad}
                delivery_figures.add(tx, now + hour, "acme", counts)

        await engine.context.store.commit(past)
        await ann.get("/admin")
        assert ann.has("Where mail went") and ann.has("down from 99 %") and not ann.has("down from 90 %")
        assert ann.page.index("down.example") < ann.page.index("up.example")
