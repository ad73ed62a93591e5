"""Mail whose sending crashes, or ends the process, again and again; and mail while the wall clock steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from simulation import Simulation, came, killed

from engine.model.message_states import State
from engine.queue import attempt
from engine.queue.recovery import QUARANTINE

SEED = 4712


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


class TestCrashes:
    async def test_a_message_that_crashes_its_try_twice_is_given_up(
        self,
        simulation: Simulation,
        autojump_clock: trio.testing.MockClock,
        engine_errors: list[Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        octets = attempt._Octets.__iter__

        def poisoned(self: attempt._Octets) -> Any:
            if b"Subject: poison" in self._body.header:
                raise ValueError("poison")
            return octets(self)

        monkeypatch.setattr(attempt._Octets, "__iter__", poisoned)
        async with simulation.running() as engine:
            await engine.register("acme")
            poison = await engine.submit("acme", "you@sandbox.example", subject="poison")
            good = await engine.submit("acme", "you@sandbox.example")
            failed = await engine.event("acme", "messageFailed")
            assert failed["data"]["queueId"] == poison["queueId"]
            assert "poison" in failed["data"]["error"]
            assert failed["data"]["attemptsMade"] == 2
            assert came(engine) == [good["messageId"]]
        assert len(engine_errors) == 2

    async def test_a_message_that_ends_the_process_again_and_again_is_held(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running(cut=True) as engine:
            await engine.register("acme")
            engine.sandbox.faults.hang_smtp = True
            answer = await engine.submit("acme", "you@sandbox.example")
            await trio.sleep(1)
        killed(simulation)
        for _ in range(QUARANTINE - 1):
            async with simulation.running(cut=True):
                await trio.lowlevel.checkpoint()
            killed(simulation)
        async with simulation.running() as engine:
            entry = await engine.entry(answer["queueId"])
            assert (entry["state"], entry["waitingFor"]["kind"]) == ("held", "release")
            assert entry["recipients"][0]["state"] == "held"
            await engine.submit("acme", "other@sandbox.example")
            await engine.event("acme", "messageSent")
            assert await engine.change(answer["queueId"], sendNow=True) == {"updated": True}
            await engine.event("acme", "messageSent", 2)

    async def test_what_a_crashed_lane_had_at_hand_is_not_forgotten(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock, engine_errors: list[Any]
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            account = engine.context.registry.get("acme")
            assert account is not None
            account._lane._send = lambda *_, **__: 1 / 0  # type: ignore[assignment]
            answers = [await engine.submit("acme", f"{number}@sandbox.example") for number in range(5)]
            await trio.sleep(0.1)
            assert engine.state(answers[0]["queueId"]) is State.SENDING
            del account._lane._send
            await engine.until_ended(*(each["queueId"] for each in answers))
            assert sorted(came(engine)) == sorted(each["messageId"] for each in answers)
        assert len(engine_errors) == 1


class TestClock:
    async def test_an_event_after_a_step_back_says_so(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            await engine.submit("acme", "a@sandbox.example")
            before = await engine.event("acme", "messageSent")
            simulation.world._start -= 3600
            await engine.submit("acme", "b@sandbox.example")
            after = await engine.event("acme", "messageSent", 2)
            assert "clockStepped" not in before
            assert after["clockStepped"] is True
            assert after["date"] < before["date"]
            await engine.submit("acme", "c@sandbox.example")
            assert "clockStepped" not in await engine.event("acme", "messageSent", 3)

    @pytest.mark.parametrize("step", [366 * 86_400.0, -3600.0])
    async def test_a_step_starts_no_storm_and_holds_nothing_back(
        self, step: float, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            await engine.submit("acme", "defer4+x@sandbox.example")
            await engine.event("acme", "messageDeliveryError", 3)
            third = trio.current_time()
            simulation.world._start += step
            await engine.event("acme", "messageDeliveryError", 4)
            assert trio.current_time() - third == pytest.approx(300, rel=0.11)
            await engine.event("acme", "messageSent")
            assert trio.current_time() - third == pytest.approx(300 + 900, rel=0.11)
