"""Copies of sent mail are filed over a command connection: beside IDLE, once each, and where there is no second one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from inbox import deliver, folder
from simulation import Engine, Simulation

from engine.sandbox.faults import HANG_UP, SILENCE

Clock = trio.testing.MockClock


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        yield engine


async def send(engine: Engine, number: int = 1, **members: Any) -> None:
    await engine.submit("acme", "you@sandbox.example", **members)
    await engine.event("acme", "messageSent", number)


def filed(engine: Engine) -> int:
    return len(folder(engine, "Sent").messages)


async def test_an_upload_that_hangs_keeps_no_mail_waiting(engine: Engine, autojump_clock: Clock) -> None:
    engine.sandbox.faults.imap_script = lambda tag, name, line: SILENCE if name == "APPEND" else None
    await send(engine)
    await trio.sleep(1)
    deliver(engine, 1)
    began = trio.current_time()
    await engine.event("acme", "messageNew")
    assert trio.current_time() - began < 0.1
    engine.sandbox.faults.imap_script = None
    await trio.sleep(600)
    assert filed(engine) == 1


async def test_a_copy_is_told_of_at_once(engine: Engine, autojump_clock: Clock) -> None:
    began = trio.current_time()
    await send(engine)
    told = await engine.event("acme", "messageNew")
    assert told["data"]["path"] == "Sent"
    assert trio.current_time() - began < 1


async def test_a_copy_is_told_of_with_one_look_and_one_question(engine: Engine, autojump_clock: Clock) -> None:
    await send(engine)
    await engine.event("acme", "messageNew")
    await trio.sleep(10)
    names: list[str] = []
    engine.sandbox.faults.imap_script = lambda tag, name, line: names.append(name)
    await send(engine, 2)
    await engine.event("acme", "messageNew", 2)
    await trio.sleep(10)
    assert names == ["APPEND", "SELECT", "UID FETCH", "SELECT", "IDLE"]


async def test_a_burst_is_filed_over_one_connection(engine: Engine, autojump_clock: Clock) -> None:
    names: list[str] = []
    engine.sandbox.faults.imap_script = lambda tag, name, line: names.append(name)
    for number in range(1, 11):
        await send(engine, number)
    await trio.sleep(10)
    assert filed(engine) == 10
    assert (names.count("APPEND"), names.count("AUTHENTICATE")) == (10, 1)
    assert len(engine.events("acme", "messageNew")) == 10


@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_where_the_server_allows_one_connection_the_idling_one_files(
    engine: Engine, size: int, autojump_clock: Clock
) -> None:
    engine.sandbox.faults.imap_greeting = b"* BYE Too many connections\r\n"
    names: list[str] = []
    engine.sandbox.faults.imap_script = lambda tag, name, line: names.append(name)
    await send(engine, 1, text="x\n" * (size // 2))
    await trio.sleep(5)
    assert filed(engine) == 1
    await send(engine, 2)
    await trio.sleep(5)
    assert filed(engine) == 2
    assert "AUTHENTICATE" not in names
    assert not engine.events("acme", "messageCopyFailed")
    assert len(engine.events("acme", "messageNew")) == 2


@pytest.mark.parametrize("how", [b"", HANG_UP], ids=["no answer", "hang up"])
async def test_a_copy_of_which_nothing_was_heard_is_looked_for(
    engine: Engine, how: bytes, autojump_clock: Clock
) -> None:
    idling = set(engine.sandbox.faults.imap_connections)

    def unheard(response: bytes) -> bytes:
        if b"APPENDUID" not in response:
            return response
        if how == HANG_UP:
            for stream in engine.sandbox.faults.imap_connections - idling:
                stream.close()
        return b""

    engine.sandbox.faults.imap_rewrite = unheard
    await send(engine)
    await trio.sleep(30)
    engine.sandbox.faults.imap_rewrite = None
    await trio.sleep(600)
    assert filed(engine) == 1
    assert not engine.events("acme", "messageCopyFailed")
    assert idling <= engine.sandbox.faults.imap_connections


async def test_a_change_of_the_account_meanwhile_files_nothing_twice(engine: Engine, autojump_clock: Clock) -> None:
    engine.sandbox.faults.imap_rewrite = lambda response: b"" if b"APPENDUID" in response else response
    account = engine.context.registry.get("acme")
    assert account is not None
    await send(engine)
    await trio.sleep(1)
    assert filed(engine) == 1
    account.reconnect()
    engine.sandbox.faults.imap_rewrite = None
    await trio.sleep(600)
    assert filed(engine) == 1


async def test_at_a_provider_that_files_sent_mail_none_is_opened(tmp_path: Path, autojump_clock: Clock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        engine.sandbox.faults.play_gmail = engine.sandbox.faults.files_sent = True
        await engine.register("acme")
        names: list[str] = []
        engine.sandbox.faults.imap_script = lambda tag, name, line: names.append(name)
        await send(engine)
        await trio.sleep(600)
        assert "AUTHENTICATE" not in names
        assert filed(engine) == 1
