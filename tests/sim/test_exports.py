"""Exports while servers are away and messages break connections, on the sandbox."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Caller
from inbox import deliver
from simulation import Engine, Simulation

from engine.sandbox.faults import HANG_UP

SPAN = {"startDate": "2020-01-01", "endDate": "2040-01-01", "folders": ["INBOX"]}
BASE = "/v1/account/acme/export"


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[tuple[Engine, Caller]]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        for number in range(1, 4):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 3)
        yield engine, await Caller.of(engine)


async def start(caller: Caller, **more: Any) -> str:
    made = await caller.ask("POST", BASE, {**SPAN, **more})
    assert made.status == 200, made
    return str(made.json["exportId"])


def uids(engine: Engine, export: str) -> list[int]:
    """What is in the file, read from the disk: Trio's clock does not wait for the thread that reads a download."""
    packed = engine.context.exports.files.path(export).read_bytes()
    return [json.loads(line)["uid"] for line in gzip.decompress(packed).splitlines()]


async def test_it_waits_for_a_server_that_is_away(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, caller = asking
    engine.sandbox.faults.dead.add(143)
    engine.sandbox.faults.cut_imap()
    export = await start(caller)
    await trio.sleep(3600)
    assert (await caller.ask("GET", f"{BASE}/{export}")).json["status"] == "processing"
    engine.sandbox.faults.dead.clear()
    await engine.event("acme", "exportCompleted")
    assert uids(engine, export) == [1, 2, 3]


async def test_it_fails_where_the_server_stays_away(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, caller = asking
    engine.sandbox.faults.dead.add(143)
    engine.sandbox.faults.cut_imap()
    export = await start(caller)
    failed = await engine.event("acme", "exportFailed")
    assert (failed["data"]["exportId"], failed["data"]["errorCode"]) == (export, "ConnectionError")
    assert (await caller.ask("GET", f"{BASE}/{export}")).json["status"] == "failed"


async def test_a_message_that_ends_the_connection_is_skipped(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, caller = asking

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        return HANG_UP if b"UID FETCH 2 " in line and b"HEADER" not in line else None

    engine.sandbox.faults.imap_script = script
    export = await start(caller)
    completed = (await engine.event("acme", "exportCompleted"))["data"]
    assert (completed["messagesExported"], completed["messagesSkipped"]) == (2, 1)
    assert uids(engine, export) == [1, 3]


async def test_only_so_many_at_once(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    engine, caller = asking
    engine.sandbox.faults.dead.add(143)
    engine.sandbox.faults.cut_imap()
    made = [await start(caller) for _ in range(10)]
    assert (await caller.ask("POST", BASE, SPAN)).status == 429
    await trio.sleep(10)

    async def at_work() -> list[str]:
        shown = {each: (await caller.ask("GET", f"{BASE}/{each}")).json.get("status") for each in made}
        return [each for each, status in shown.items() if status == "processing"]

    (first,) = await at_work()
    assert (await caller.ask("DELETE", f"{BASE}/{first}")).status == 200
    await trio.sleep(10)
    (second,) = await at_work()
    assert second != first
    engine.sandbox.faults.dead.clear()
    await engine.event("acme", "exportCompleted", 9)
    assert (await caller.ask("GET", "/v1/account/acme/exports")).json["total"] == 9
    await trio.sleep(2 * 86_400)
    assert (await caller.ask("GET", "/v1/account/acme/exports")).json["total"] == 0
