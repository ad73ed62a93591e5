"""The sandbox switched off in the configuration: nothing of it runs, and its accounts say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from answers import plain
from simulation import OPERATOR, Engine, Simulation

from engine.api import account as api
from engine.config import SandboxConfig
from engine.errors import Problem
from engine.schema.account import AccountCreate, AccountQuery


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


def switch(simulation: Simulation, *, on: bool) -> None:
    simulation.config = msgspec.structs.replace(simulation.config, sandbox=SandboxConfig(enabled=on))


async def register(engine: Engine, **members: Any) -> Any:
    given = {"account": "acme", "name": "Acme", "email": "acme@sandbox.example", **members}
    return await api.register(engine.context, msgspec.convert(given, AccountCreate), caller=OPERATOR)


async def shown(engine: Engine) -> dict[str, Any]:
    return plain(await api.read(engine.context, "acme", AccountQuery(), caller=OPERATOR))


async def test_no_account_of_it_can_be_registered(simulation: Simulation, autojump_clock: object) -> None:
    switch(simulation, on=False)
    async with simulation.running() as engine:
        with pytest.raises(Problem) as refused:
            await register(engine, sandbox=True)
        assert refused.value.status == 400
        (field,) = refused.value.extra["fields"]
        assert field["path"] == "sandbox" and "enabled" in field["message"] and "[sandbox]" in field["message"]
        assert engine.context.registry.get("acme") is None
        assert (await register(engine, sandbox=False)).state == "new"


async def test_accounts_there_are_say_what_to_do_and_work_again(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
    switch(simulation, on=False)
    async with simulation.running() as engine:
        assert engine.sandbox is None
        await trio.sleep(5)
        found = await shown(engine)
        assert found["state"] == "connectError"
        assert found["lastError"]["serverResponseCode"] == "ESANDBOXOFF"
        assert (
            "[sandbox]" in found["lastError"]["description"]
            and "remove the account" in found["lastError"]["description"]
        )
        waiting = (await engine.submit("acme", "friend@sandbox.example"))["queueId"]
        await trio.sleep(60)
        entry = await engine.entry(waiting)
        assert entry["state"] in ("queued", "deferred")
    switch(simulation, on=True)
    async with simulation.running() as engine:
        await engine.until_ended(waiting)
        assert [each.recipient for each in engine.sandbox.delivered] == ["friend@sandbox.example"]
