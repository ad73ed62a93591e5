"""Doubts that meet other tries, other recipients, a change of mind, or the end of their account."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from simulation import Simulation, servers

from engine.accounts.registry import Registry
from engine.model.message_states import State

SEED = 815
HOST = "outlook.office365.com"


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


def filing() -> dict[str, object]:
    """An account whose provider files sent mail itself."""
    given = servers("acme", "secret")
    given["imap"]["host"] = HOST
    return given


class TestEvidenceOfAnotherTransaction:
    async def test_a_copy_filed_for_one_recipient_says_nothing_about_another(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The Sent folder knows Message-IDs, not who got them."""
        to = ("cut-before-keep1+x@sandbox.example", "defer1+y@sandbox.example")
        async with simulation.running() as engine:
            engine.sandbox.faults.files_sent = True
            await engine.register("acme", **filing())
            await engine.submit("acme", *to, onDoubt="hold")
            await engine.event("acme", "messageSent")
            await trio.sleep(86_400)
            said = {to for event in engine.events("acme", "messageSent") for to in event["data"]["accepted"]}
            assert said == {each.recipient for each in engine.sandbox.delivered} == {to[1]}

    async def test_a_copy_says_nothing_about_who_was_refused_before_the_dot(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The replies to RCPT were read by a process that was killed; only the server knows them."""
        to = ("slow60+x@sandbox.example", "reject+y@sandbox.example")
        async with simulation.running(cut=True) as engine:
            engine.sandbox.faults.files_sent = True
            await engine.register("acme", **filing())
            await engine.submit("acme", *to, onDoubt="hold")
            await trio.sleep(5)
            assert len(engine.sandbox.delivered) == 1
            filed = engine.sandbox.account("acme@sandbox.example").folder("Sent").messages
        async with simulation.running() as engine:
            # The provider continues as before: its Sent folder has the message.
            engine.sandbox.faults.files_sent = True
            folder = engine.sandbox.account("acme@sandbox.example").folder("Sent")
            for each in filed:
                folder.add(each.raw, each.date)
            await trio.sleep(86_400)
            said = {to for event in engine.events("acme", "messageSent") for to in event["data"]["accepted"]}
            assert to[1] not in said


class TestDoubtThatIsTriedAgain:
    async def test_what_may_have_gone_is_not_taken_back(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        """A doubt stays a doubt when the attempt that was to settle it is deferred."""
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "cut-after-dot1+x@sandbox.example")
            await engine.event("acme", "messageInDoubt")
            engine.sandbox.faults.greeting = b"421 4.3.2 Too busy\r\n"
            await engine.event("acme", "messageDeliveryError", 2)
            assert (await engine.entry(answer["queueId"]))["state"] == "in_doubt"
            assert (await engine.cancel(answer["queueId"]))["deleted"] is False
            assert len(engine.sandbox.delivered) == 1


class TestChangeOfMindDuringATry:
    @pytest.mark.parametrize(("first", "then"), [("resend", "hold"), ("hold", "resend"), ("hold", "fail")])
    async def test_the_last_word_before_the_doubt_counts(
        self, first: str, then: str, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "hang1+x@sandbox.example", onDoubt=first)
            await trio.sleep(60)
            assert engine.state(answer["queueId"]) is State.SENDING
            assert await engine.change(answer["queueId"], onDoubt=then) == {"updated": True}
            said = await engine.event("acme", "messageInDoubt")
            assert said["data"]["onDoubt"] == then
            await trio.sleep(86_400)
            expected = {"resend": State.SENT, "hold": State.IN_DOUBT, "fail": State.FAILED}
            assert engine.state(answer["queueId"]) is expected[then]


class TestRemovalOfTheAccount:
    async def test_a_message_whose_dot_is_not_answered_ends_all_the_same(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "slow600+x@sandbox.example")
            await trio.sleep(5)
            assert engine.state(answer["queueId"]) is State.SENDING
            registry: Registry = engine.context.registry
            account = registry.get("acme")
            assert account is not None
            await registry.remove(account)
        async with simulation.running() as engine:
            await engine.until_ended(answer["queueId"])
