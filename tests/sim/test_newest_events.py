"""`GET /v1/events?before=`: the newest events first, page by page, filtered, and for a token of one account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
from asking import Caller
from simulation import Simulation

from engine.api import events as api
from engine.events import journal


async def walked(caller: Caller, query: str) -> list[dict[str, Any]]:
    """All events, following `next`."""
    found, before = [], 2**53
    for _ in range(200):
        page = (await caller.ask("GET", f"/v1/events?before={before}&{query}")).json
        found += page["events"]
        if page["next"] <= page["first"]:
            return found
        assert page["next"] < before
        before = page["next"]
    raise AssertionError("it has no end")


async def test_the_newest_come_first(tmp_path: Path, autojump_clock: object, monkeypatch: Any) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        for account in ("a", "b"):
            await engine.register(account)
        for _ in range(5):
            await engine.submit("a", "you@sandbox.example")
        await trio.sleep(60)
        caller = await Caller.of(engine)
        every = (await caller.ask("GET", "/v1/events?limit=1000")).json["events"]
        assert len(every) > 20
        for window, examined in ((journal.WINDOW, api.MOST_EXAMINED), (3, 7)):
            monkeypatch.setattr(journal, "WINDOW", window)
            monkeypatch.setattr(api, "MOST_EXAMINED", examined)
            assert await walked(caller, "limit=4") == every[::-1]
            sent = [each for each in every[::-1] if each["event"] == "messageSent"]
            assert await walked(caller, "limit=2&events=messageSent") == sent and len(sent) == 5
            of_b = [each for each in every[::-1] if each["account"] == "b"]
            assert await walked(caller, "account=b") == of_b
            tenant = await Caller.of(engine, account="b")
            assert await walked(tenant, "limit=1") == of_b
        newer = (await caller.ask("GET", f"/v1/events?before=99&after={every[-3]['seq']}")).json["events"]
        assert newer == every[:-3:-1]


async def test_a_token_of_one_account_learns_no_number_of_others(tmp_path: Path, autojump_clock: object) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        for account in ("a", "b"):
            await engine.register(account)
        await trio.sleep(60)
        tenant = await Caller.of(engine, account="b")
        own = {each["seq"] for each in (await tenant.ask("GET", "/v1/events?limit=1000")).json["events"]}
        for before in range(1, max(own) + 3):
            page = (await tenant.ask("GET", f"/v1/events?before={before}&limit=1")).json
            assert page["last"] in own
            assert page["next"] in own | {page["first"]} or page["next"] - 1 in own or page["next"] == 1, (before, page)
