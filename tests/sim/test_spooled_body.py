"""A large body whose commit is written, and reported as failed."""

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

SEED = 5


class _Thread:
    """Says that a commit failed which is on disk all the same: after a failed sync nobody knows."""

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
    """The caller was told that nobody knows, asks again with the same key, and is told yes."""
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
