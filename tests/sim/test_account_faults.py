"""What must not happen to accounts: come back from the dead, stop the others, wait for ever longer."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from answers import plain
from simulation import OPERATOR, Engine, Simulation

from engine.accounts.account import Account
from engine.api import account as api
from engine.errors import AccountGone, AccountUnreadable, StorageFailed
from engine.http.problems import as_problem
from engine.schema.account import AccountCreate, AccountQuery, AccountUpdate
from engine.store import database

Clock = trio.testing.MockClock
CHANGES: dict[str, Callable[[Engine, Account], Any]] = {
    "update": lambda engine, account: engine.context.registry.update(account, AccountUpdate(name="Back")),
    "flush": lambda engine, account: engine.context.registry.flush(account, None, msgspec.UNSET),
    "pause": lambda engine, account: engine.context.registry.pause_queue(account, True),
}


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


def found(engine: Engine, name: str) -> Account:
    account = engine.context.registry.get(name)
    assert account is not None
    return account


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_comes_behind_a_removal_changes_nothing(
    simulation: Simulation, change: str, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        account = found(engine, "acme")
        async with trio.open_nursery() as nursery:

            async def late() -> None:
                with pytest.raises(AccountGone) as gone:
                    await CHANGES[change](engine, account)
                assert as_problem(gone.value).status == 404

            # Both have found the account; the removal gets to it first.
            await engine.context.registry._changing.acquire()
            nursery.start_soon(engine.context.registry.remove, account)
            await trio.sleep(10)
            nursery.start_soon(late)
            await trio.sleep(10)
            engine.context.registry._changing.release()
        assert engine.context.registry.every() == []
    async with simulation.running() as engine:
        assert engine.context.registry.every() == []
        await engine.register("acme")
        assert not engine.context.pauses.paused("acme")


async def test_a_change_does_not_touch_the_account_that_came_after(
    simulation: Simulation, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        before = found(engine, "acme")
        await engine.context.registry.remove(before)
        await engine.register("acme")
        for change in CHANGES.values():
            with pytest.raises(AccountGone):
                await change(engine, before)
        assert found(engine, "acme").record.name == "acme"


async def test_a_failed_disk_inside_a_group_is_no_crash(simulation: Simulation, autojump_clock: Clock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")

        async def service() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                await trio.sleep_forever()

        async def fail() -> None:
            raise StorageFailed("gone")

        before = trio.current_time()
        await found(engine, "acme")._guarded(service)
        assert trio.current_time() == before
        assert found(engine, "acme").status.last_error is None


async def test_the_wait_after_a_crash_begins_anew_after_a_healthy_run(
    simulation: Simulation, autojump_clock: Clock, engine_errors: list[logging.LogRecord]
) -> None:
    runs = [0.0] * 9 + [400.0, 0.0, 0.0]
    began: list[float] = []

    async def service() -> None:
        began.append(trio.current_time())
        if len(began) > len(runs):
            return
        async with trio.open_nursery():
            await trio.sleep(runs[len(began) - 1])
            raise KeyError("x")

    async with simulation.running() as engine:
        await engine.register("acme")
        await found(engine, "acme")._guarded(service)
        shown = found(engine, "acme").status.last_error
    waits = [round(after - before - ran) for before, after, ran in zip(began, began[1:], runs, strict=False)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 2, 4]
    assert shown == {"response": "Internal error: KeyError('x')", "serverResponseCode": "EINTERNAL"}
    assert len(engine_errors) == len(runs)


async def test_a_crash_beside_a_cancellation_stays_in_the_account(
    simulation: Simulation, autojump_clock: Clock, engine_errors: list[logging.LogRecord]
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")

        async def service() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crash)
                await trio.sleep_forever()

        async def crash() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("x")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(found(engine, "acme")._guarded, service)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert [record.getMessage() for record in engine_errors] == ["a task crashed while it was ending"]


def spoil(simulation: Simulation, **rows: Any) -> None:
    """Replace stored columns: `acme={"record": b"..."}`."""
    db = sqlite3.connect(simulation.folder / database.FILE)
    with db:
        for account, columns in rows.items():
            for name, value in columns.items():
                db.execute(f"UPDATE account SET {name} = ? WHERE id = ?", (value, account))
    db.close()


def stored(simulation: Simulation, account: str) -> dict[str, Any]:
    db = sqlite3.connect(simulation.folder / database.FILE)
    (record,) = db.execute("SELECT record FROM account WHERE id = ?", (account,)).fetchone()
    db.close()
    return msgspec.json.decode(record)


ODD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not JSON": lambda _: b"\xff{",
    "not an object": lambda _: b"[]",
    "nothing": lambda _: b"",
    "a number": lambda _: 7,
    "no name": lambda record: {**record, "name": None},
    "another account's": lambda record: {**record, "account": "other"},
    "a wrong type": lambda record: {**record, "sandbox": "yes"},
}


@pytest.mark.parametrize("odd", ODD)
async def test_one_registration_that_cannot_be_read_stops_nothing(
    simulation: Simulation, odd: str, autojump_clock: Clock, engine_errors: list[logging.LogRecord]
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.register("well")
        await engine.pause(True, "acme")
        await engine.submit("acme", "a@x.example")
    value = ODD[odd](stored(simulation, "acme"))
    value = msgspec.json.encode(value) if isinstance(value, dict) else value
    spoil(simulation, acme={"record": value}, well={"last_error": b"{", "smtp_status": b"[]"})
    async with simulation.running() as engine:
        await engine.submit("well", "a@x.example")
        await engine.event("well", "messageSent")
        shown = plain(await api.read(engine.context, "acme", AccountQuery(), caller=OPERATOR))
        assert shown["state"] == "unset" and shown["lastError"]["serverResponseCode"] == "EUNREADABLE"
        assert shown["lastError"]["response"].startswith("The stored registration cannot be read: ")
        for change in CHANGES.values():
            with pytest.raises(AccountUnreadable) as refused:
                await change(engine, found(engine, "acme"))
            assert as_problem(refused.value).status == 409
    (record,) = engine_errors
    assert record.getMessage().startswith("the account is disabled. The stored registration cannot be read: ")
    assert record.__dict__["account"] == "acme"
    engine_errors.clear()
    async with simulation.running() as engine:
        # Its remaining mail is sent once it is registered again.
        given = {"account": "acme", "name": "Acme", "email": "acme@sandbox.example", "sandbox": True}
        assert await engine.context.registry.register(msgspec.convert(given, AccountCreate)) == ("acme", True)
        await engine.pause(False, "acme")
        await engine.event("acme", "messageSent")
    engine_errors.clear()
    async with simulation.running() as engine:
        assert found(engine, "acme").unreadable is None
    assert engine_errors == []


async def test_an_account_that_cannot_be_read_can_be_removed(
    simulation: Simulation, autojump_clock: Clock, engine_errors: list[logging.LogRecord]
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
    spoil(simulation, acme={"record": b"{}"})
    async with simulation.running() as engine:
        await engine.context.registry.remove(found(engine, "acme"))
    engine_errors.clear()
    async with simulation.running() as engine:
        assert engine.context.registry.every() == []
    assert engine_errors == []


async def test_a_tightened_limit_and_a_later_version_stop_nothing(
    simulation: Simulation, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
    record = {**stored(simulation, "acme"), "name": "n" * 5000, "later": {"x": 1}, "tz": "t" * 5000}
    spoil(simulation, acme={"record": msgspec.json.encode(record)})
    async with simulation.running() as engine:
        assert found(engine, "acme").record.name == "n" * 5000
        await engine.submit("acme", "a@x.example")
        await engine.event("acme", "messageSent")
