"""A wall clock that steps while an account's server cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from simulation import Simulation

from engine.queue.lifecycle import State

SEED = 366
YEAR = 366 * 86_400.0


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


async def test_a_step_ahead_gives_nothing_up(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    """What waits for a server has waited as long as it has, whatever the wall clock says."""
    async with simulation.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.dead.add(587)
        engine.sandbox.faults.cut_smtp()
        answers = [await engine.submit("acme", f"{each}@sandbox.example") for each in "abc"]
        await engine.event("acme", "messageDeliveryError")
        simulation.world._start += YEAR
        await trio.sleep(3 * 3600)
        assert {engine.state(each["queueId"]) for each in answers} <= {State.QUEUED, State.DEFERRED}
        engine.sandbox.faults.dead.clear()
        await engine.until_ended(*(each["queueId"] for each in answers))
        assert len(engine.sandbox.delivered) == 3


async def test_mail_taken_in_after_a_step_back_is_not_given_up_early(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """Its time is counted by the clock it was taken in by, not by the one there was before."""
    async with simulation.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.dead.add(587)
        engine.sandbox.faults.cut_smtp()
        simulation.world._start -= 5 * 86_400.0
        answers = [await engine.submit("acme", f"{each}@sandbox.example") for each in "abc"]
        await engine.event("acme", "messageDeliveryError")
        await trio.sleep(3 * 3600)
        assert {engine.state(each["queueId"]) for each in answers} <= {State.QUEUED, State.DEFERRED}
        engine.sandbox.faults.dead.clear()
        await engine.until_ended(*(each["queueId"] for each in answers))
        assert len(engine.sandbox.delivered) == 3
