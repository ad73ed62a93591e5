"""Large bodies, whose files stay as long as the message needs them: also where a commit is reported as failed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from simulation import Simulation

from engine.errors import StorageFailed
from engine.model.message_states import State

SEED = 5


class _Thread:
    """Reports a failed commit that is on disk nevertheless: after a failed sync, that is unknown."""

    armed = False

    async def run(self, job: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        job()
        if self.armed:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error

    def close(self) -> None:
        pass


async def test_a_body_whose_commit_may_have_been_written_stays(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    engine_errors: list[logging.LogRecord],
) -> None:
    """The caller was told that the outcome is unknown, repeats the request with the same key, and gets a success."""
    simulation = Simulation(tmp_path / "data", SEED)
    thread, text = _Thread(), "Line after line.\n" * 20_000
    with monkeypatch.context() as patched, pytest.raises(BaseExceptionGroup) as raised:
        patched.setattr(simulation.world, "store_thread", lambda: thread)
        async with simulation.running() as engine:
            await engine.register("acme")
            thread.armed = True
            with pytest.raises(StorageFailed):
                await engine.submit("acme", "x@sandbox.example", key="k", text=text)
    assert raised.value.split(lambda error: isinstance(error, StorageFailed))[1] is None
    engine_errors.clear()
    async with simulation.running() as engine:
        await trio.sleep(10)
        await engine.submit("acme", "x@sandbox.example", key="k", text=text)
        await trio.sleep(86_400)
        assert len(engine.sandbox.delivered) == 1
    assert engine_errors == []


async def test_the_file_of_a_body_goes_with_the_account(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Of a message that still waits as of one that was sent and still owes its Sent copy."""
    simulation, text = Simulation(tmp_path / "data", SEED), "Line after line.\n" * 20_000
    spool = tmp_path / "data" / "spool"
    async with simulation.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.sent_append_fails = 1000
        sent = await engine.submit("acme", "x@sandbox.example", text=text)
        waits = await engine.submit("acme", "defer5+x@sandbox.example", text=text)
        await trio.sleep(5)
        assert engine.state(sent["queueId"]) is State.SENT
        assert len(list(spool.iterdir())) == 2
        account = engine.context.registry.get("acme")
        assert account is not None
        await engine.context.registry.remove(account)
        assert list(spool.iterdir()) == []
        assert engine.state(waits["queueId"]) is State.CANCELLED
