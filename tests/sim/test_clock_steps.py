"""A wall clock that steps while an account's server cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from simulation import Simulation

from engine.isotime import iso
from engine.model.message_states import State

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


@pytest.mark.parametrize("refused", [False, True])
async def test_a_start_with_a_clock_far_ahead_gives_nothing_up_at_once(
    simulation: Simulation, refused: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.dead.add(587)
        engine.sandbox.faults.cut_smtp()
        answers = [await engine.submit("acme", f"{each}@sandbox.example") for each in "abc"]
        await engine.event("acme", "messageDeliveryError")
        await engine.pause(True)  # until the next engine has its faults, too
    simulation.world._start += 40 * 86_400.0
    ids = [each["queueId"] for each in answers]
    async with simulation.running() as engine:
        faults = engine.sandbox.faults
        if refused:
            faults.reject_login.add("acme@sandbox.example")
        else:
            faults.dead.add(587)
        await engine.pause(False)
        await trio.sleep(600)
        assert {engine.state(each) for each in ids} <= {State.QUEUED, State.DEFERRED}
        await trio.sleep(2 * 86_400)
        assert {engine.state(each) for each in ids} == {State.FAILED}


async def test_a_start_after_a_clock_that_was_ahead_holds_no_retry_back(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    ahead = 6 * 3600.0
    simulation.world._start += ahead
    async with simulation.running() as engine:
        await engine.register("acme")
        retried = await engine.submit("acme", "defer1+x@sandbox.example")
        await engine.event("acme", "messageDeliveryError")
        engine.sandbox.faults.dead.add(587)
        engine.sandbox.faults.cut_smtp()
        waiting = await engine.submit("acme", "friend@sandbox.example")
        chosen = await engine.submit("acme", "late@sandbox.example", sendAt=iso(simulation.world.now() + 2 * 3600.0))
    engine.sandbox.faults.dead.clear()
    simulation.world._start -= ahead
    async with simulation.running() as engine:
        began = trio.current_time()
        await engine.until_ended(retried["queueId"], waiting["queueId"])
        assert trio.current_time() - began < 600
        await trio.sleep(ahead + 1.9 * 3600)
        assert engine.state(chosen["queueId"]) is State.QUEUED
        await engine.until_ended(chosen["queueId"])


async def test_copies_follow_a_clock_that_is_set_back(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    simulation.world._start += 5 * 86_400.0
    async with simulation.running() as engine:
        await engine.register("acme")
        store = engine.context.store
        engine.sandbox.faults.dead.add(993)
        engine.sandbox.faults.dead.add(143)
        engine.sandbox.faults.cut_imap()
        sent = await engine.submit("acme", "friend@sandbox.example")
        await engine.until_ended(sent["queueId"])
        assert store.reader.execute("SELECT count(*) FROM sent_copy").fetchone() == (1,)
        simulation.world._start -= 5 * 86_400.0
        await trio.sleep(120)
        (due,) = store.reader.execute("SELECT next_at FROM sent_copy").fetchone()
        assert due <= simulation.world.now() + 3600
