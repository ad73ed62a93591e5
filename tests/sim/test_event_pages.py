"""The list of events, newest first and filtered; one event whole."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from simulation import Simulation
from visitor import Visitor

from engine.web.pages.events import SHOWN, gist_of

HOSTILE = '"><img src=x onerror=alert(1)>\u202egnp.exe\u2066' + "W" * 200


@asynccontextmanager
async def visiting(tmp_path: Path, role: str = "reader") -> AsyncIterator[Visitor]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        bob = await Visitor.at(engine)
        await bob.enter("bob", role)
        yield bob


def numbers(visitor: Visitor) -> list[int]:
    return [int(each) for each in re.findall(r'href="[./]*/?(?:admin/)?events/(\d+)"', visitor.page)]


async def test_nothing_has_happened(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        assert (await bob.get("/admin/events")).status == 200
        assert bob.has("Nothing has happened yet") and 'data-live="data"' in bob.page


async def test_the_newest_come_first_page_by_page(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        await bob.engine.register("acme")
        for _ in range(SHOWN):
            await bob.engine.submit("acme", "you@sandbox.example")
        await trio.sleep(60)
        last = bob.engine.context.streams.journal.last
        await bob.get("/admin/events")
        seen = numbers(bob)
        assert seen == list(range(last, last - SHOWN, -1))
        while more := re.search(r'rel="next" href="([^"]+)"', bob.page):
            await bob.get(more[1].replace("&amp;", "&"))
            assert "data-live" not in bob.page, "older ones do not change"
            seen += numbers(bob)
        assert seen == list(range(last, 0, -1))


async def test_filters(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        for account in ("acme", HOSTILE[:100]):
            await bob.engine.register(account, email="x@sandbox.example")
        await bob.engine.submit("acme", "you@sandbox.example", subject=HOSTILE)
        await trio.sleep(60)
        await bob.get("/admin/events?account=acme&event=messageSent")
        assert len(numbers(bob)) == 1 and bob.has("messageSent")
        await bob.get("/admin/events?account=nobody")
        assert bob.has("No such event") and "data-live" in bob.page
        await bob.get("/admin/events?event=no-such-event&before=nonsense")
        assert len(numbers(bob)) > 5
        await bob.get("/admin/events")
        assert "<img" not in bob.page and bob.has("gnp.exe")
        await bob.get(f"/admin/events?account={'x' * 5000}")
        assert bob.has("No such event")


async def test_one_event(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        await bob.engine.register(HOSTILE[:100], email="x@sandbox.example")
        queued = await bob.engine.submit(HOSTILE[:100], "you@sandbox.example")
        sent = await bob.engine.event(HOSTILE[:100], "messageSent")
        assert (await bob.get(f"/admin/events/{sent['seq']}")).status == 200
        assert bob.has(sent["eventId"]) and f"outbox/{queued['queueId']}" in bob.page
        assert "<img" not in bob.page and bob.has("The one before")
        await bob.get("/admin/events/1")
        assert bob.has("accountAdded") and not bob.has("The one before")
        for wrong in ("0", "999999", "-1", "x", "9" * 400):
            assert (await bob.get(f"/admin/events/{wrong}")).status == 404


def test_the_gist_is_a_line_of_what_tells_most() -> None:
    assert gist_of({"queueId": "1a", "subject": "Hello", "error": "no room", "flags": []}) == "Hello · no room"
    assert len(gist_of({"subject": "x" * 10_000})) == 161
    assert gist_of({"subject": None, "n": 1}) == gist_of([1]) == gist_of(None) == ""
