"""Mail that waits, in doubt, cancelled, moved, paused: through the handlers the API calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from simulation import Simulation, came, killed, servers, when

from engine.config import Retry
from engine.errors import Problem
from engine.model.message_states import State
from engine.queue import doubt

SEED = 4712
START = 1_800_000_000.0
QUICK = Retry(schedule=(10.0, 60.0, 300.0))
ALL_ATTEMPTS = 10.0 + 60.0 + 8 * 300.0
"""Seconds that all attempts by `QUICK` take. A day costs a second or more, of which nothing is learnt here."""


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


def names(events: list[dict[str, Any]]) -> list[str]:
    """The names of what became of mail that was sent; what a Sent copy raises is left out."""
    return [event["event"] for event in events if event["event"].startswith("message") and "queueId" in event["data"]]


class TestDoubt:
    @pytest.mark.parametrize("kept", [True, False])
    async def test_held_it_waits_for_a_decision(
        self, kept: bool, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        word = "cut-after-dot1" if kept else "cut-before-keep1"
        simulation.config = msgspec.structs.replace(simulation.config, retry=QUICK)
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", f"{word}+x@sandbox.example", onDoubt="hold")
            said = await engine.event("acme", "messageInDoubt")
            assert said["data"]["nextAttempt"] is False
            await trio.sleep(2 * ALL_ATTEMPTS)
            entry = await engine.entry(answer["queueId"])
            assert entry["state"] == "in_doubt"
            assert entry["waitingFor"]["kind"] == "decision"
            assert entry["nextAttempt"] is False
            assert len(came(engine)) == kept
            assert (await engine.cancel(answer["queueId"]))["deleted"] is False
        async with simulation.running() as engine:
            await trio.sleep(3600)
            assert (await engine.entry(answer["queueId"]))["state"] == "in_doubt", "a restart decides nothing"
            assert len(engine.events("acme", "messageInDoubt")) == 1
            assert came(engine) == []

    async def test_held_it_is_sent_again_when_somebody_says_so(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit(
                "acme", "cut-before-keep1+x@sandbox.example", onDoubt="hold", deliveryAttempts=1
            )
            await engine.event("acme", "messageInDoubt")
            await trio.sleep(86_400)
            assert await engine.change(answer["queueId"], onDoubt="resend") == {"updated": True}
            await engine.event("acme", "messageSent")
            assert came(engine) == [answer["messageId"]]

    async def test_given_up_it_fails_and_says_that_nobody_knows(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            held = await engine.submit("acme", "cut-after-dot1+x@sandbox.example", onDoubt="hold")
            await engine.submit("acme", "cut-after-dot1+y@sandbox.example", onDoubt="fail")
            failed = await engine.event("acme", "messageFailed")
            assert failed["data"]["inDoubt"] is True
            assert failed["data"]["envelope"]["to"] == ["cut-after-dot1+y@sandbox.example"]
            await engine.event("acme", "messageInDoubt", 2)
            assert await engine.change(held["queueId"], onDoubt="fail") == {"updated": True}
            failed = await engine.event("acme", "messageFailed", 2)
            assert failed["data"]["queueId"] == held["queueId"]
            assert failed["data"]["inDoubt"] is True
            assert len(came(engine)) == 2

    @pytest.mark.parametrize("is_killed", [False, True])
    async def test_told_to_hold_while_it_is_sent_again_it_waits_for_a_decision(
        self, is_killed: bool, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        simulation.config = msgspec.structs.replace(simulation.config, retry=QUICK)
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "cut-after-dot1+x@sandbox.example")
            await engine.event("acme", "messageInDoubt")
            engine.sandbox.faults.hang_smtp = True
            await trio.sleep(60)
            assert (await engine.entry(answer["queueId"]))["state"] == "sending"
            assert await engine.change(answer["queueId"], onDoubt="hold") == {"updated": True}
        if is_killed:
            killed(simulation)
        async with simulation.running() as engine:
            await trio.sleep(2 * ALL_ATTEMPTS)
            entry = await engine.entry(answer["queueId"])
            assert entry["state"] == "in_doubt"
            assert entry["waitingFor"]["kind"] == "decision"
            assert entry["nextAttempt"] is False
            assert engine.events("acme", "messageFailed") == []
            assert came(engine) == []

    async def test_one_in_doubt_does_not_hold_the_others_of_its_message(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        to = ("cut-after-dot1+x@sandbox.example", "defer1+y@sandbox.example")
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", *to, onDoubt="hold")
            sent = await engine.event("acme", "messageSent")
            assert sent["data"]["accepted"] == [to[1]]
            await trio.sleep(86_400)
            states = {each["address"]: each["state"] for each in (await engine.entry(answer["queueId"]))["recipients"]}
            assert states == {to[0]: "in_doubt", to[1]: "sent"}
            assert sorted(each.recipient for each in engine.sandbox.delivered) == sorted(to)


class TestEvidence:
    """A provider that files sent mail itself: its Sent folder tells."""

    HOST = "outlook.office365.com"

    def account(self) -> dict[str, Any]:
        given = servers("acme", "secret")
        given["imap"]["host"] = self.HOST
        return given

    @pytest.mark.parametrize("on_doubt", ["resend", "hold", "fail"])
    async def test_what_is_in_the_sent_folder_is_not_sent_again(
        self, on_doubt: str, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            engine.sandbox.faults.files_sent = True
            await engine.register("acme", **self.account())
            answer = await engine.submit("acme", "cut-after-dot1+x@sandbox.example", onDoubt=on_doubt)
            said = await engine.event("acme", "messageInDoubt")
            assert said["data"]["searchingSentFolder"] is True
            sent = await engine.event("acme", "messageSent")
            assert when(sent) - when(said) == pytest.approx(doubt.LOOKS[0], abs=2)
            await trio.sleep(86_400)
            assert came(engine) == [answer["messageId"]], SEED
            assert engine.state(answer["queueId"]) is State.SENT

    async def test_what_is_not_there_minutes_later_did_not_go(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            engine.sandbox.faults.files_sent = True
            await engine.register("acme", **self.account())
            answer = await engine.submit("acme", "cut-before-keep1+x@sandbox.example", onDoubt="hold")
            said = await engine.event("acme", "messageInDoubt")
            sent = await engine.event("acme", "messageSent")
            assert when(sent) - when(said) == pytest.approx(doubt.LOOKS[-1], abs=5)
            assert came(engine) == [answer["messageId"]], SEED

    async def test_without_the_mailbox_the_choice_counts_after_a_while(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            engine.sandbox.faults.files_sent = True
            await engine.register("acme", **self.account())
            engine.sandbox.faults.dead.add(143)
            engine.sandbox.faults.cut_imap()
            await engine.submit("acme", "cut-after-dot1+x@sandbox.example")
            said = await engine.event("acme", "messageInDoubt")
            sent = await engine.event("acme", "messageSent")
            assert when(sent) - when(said) == pytest.approx(doubt.PATIENCE, abs=5)
            assert len(came(engine)) == 2


class TestCancel:
    async def test_before_its_time_it_does_not_go(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "you@sandbox.example", sendAt="2027-01-17T00:00:00Z")
            entry = await engine.entry(answer["queueId"])
            assert (entry["state"], entry["waitingFor"]["kind"]) == ("queued", "schedule")
            assert await engine.cancel(answer["queueId"]) == {"deleted": True}
            cancelled = await engine.event("acme", "messageCancelled")
            assert cancelled["data"]["envelope"]["to"] == ["you@sandbox.example"]
            assert (await engine.cancel(answer["queueId"]))["deleted"] is False
            await trio.sleep(3 * 86_400)
            assert came(engine) == []
            assert (await engine.entry(answer["queueId"]))["state"] == "cancelled"

    async def test_while_it_is_handed_over_it_is_too_late(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "slow60+x@sandbox.example")
            await trio.sleep(1)
            said = await engine.cancel(answer["queueId"])
            assert said["deleted"] is False
            assert "final dot" in said["reason"]
            await engine.event("acme", "messageSent")
            assert names(engine.events("acme")) == ["messageSent"]

    async def test_while_the_server_is_being_reached_it_does_not_go(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            engine.sandbox.faults.hang_smtp = True
            answer = await engine.submit("acme", "you@sandbox.example")
            await trio.sleep(5)
            assert (await engine.entry(answer["queueId"]))["state"] == "sending"
            assert await engine.cancel(answer["queueId"]) == {"deleted": True}
            engine.sandbox.faults.hang_smtp = False
            await trio.sleep(86_400)
            assert came(engine) == []
            assert names(engine.events("acme")) == ["messageCancelled"]
            assert (await engine.entry(answer["queueId"]))["state"] == "cancelled"

    async def test_who_got_it_already_is_named(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "a@sandbox.example", "defer+b@sandbox.example")
            await engine.event("acme", "messageDeliveryError")
            said = await engine.cancel(answer["queueId"])
            assert said == {"deleted": True, "alreadySent": ["a@sandbox.example"]}
            assert (await engine.entry(answer["queueId"]))["state"] == "sent"

    @pytest.mark.parametrize("moment", range(0, 60, 3))
    async def test_at_any_moment_it_goes_or_it_does_not(
        self, moment: int, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "you@sandbox.example")
            for _ in range(moment):
                await trio.lowlevel.checkpoint()
            said = await engine.cancel(answer["queueId"])
            await trio.sleep(86_400)
            assert len(came(engine)) == (not said["deleted"])
            assert ("reason" in said) is not said["deleted"]
            assert names(engine.events("acme")) == (["messageCancelled"] if said["deleted"] else ["messageSent"])


class TestMove:
    async def test_sent_now(self, simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "you@sandbox.example", sendAt="2027-02-01T00:00:00Z")
            assert await engine.change(answer["queueId"], sendNow=True) == {"updated": True}
            sent = await engine.event("acme", "messageSent")
            assert when(sent) - START < 5
            assert (await engine.change(answer["queueId"], sendNow=True))["updated"] is False

    async def test_moved_there_and_back(self, simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "you@sandbox.example", sendAt="2027-01-16T00:00:00Z")
            assert await engine.change(answer["queueId"], sendAt="2027-03-01T00:00:00Z") == {"updated": True}
            assert (await engine.entry(answer["queueId"]))["scheduled"] == "2027-03-01T00:00:00.000Z"
            await trio.sleep(86_400)
            assert came(engine) == []
        async with simulation.running() as engine:
            assert await engine.change(answer["queueId"], sendAt="2027-01-17T00:00:00Z") == {"updated": True}
            sent = await engine.event("acme", "messageSent")
            assert sent["date"].startswith("2027-01-17T00:00:0")

    async def test_an_unknown_message_is_a_404(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            with pytest.raises(Problem) as unknown:
                await engine.change("0000000000000000000", sendNow=True)
            assert unknown.value.status == 404

    async def test_a_retry_is_made_now(self, simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            answer = await engine.submit("acme", "defer3+x@sandbox.example")
            first = await engine.event("acme", "messageDeliveryError", 3)
            entry = await engine.entry(answer["queueId"])
            assert entry["waitingFor"]["kind"] == "retry"
            assert [each["outcome"] for each in entry["attemptLog"]] == ["later"] * 3
            assert await engine.change(answer["queueId"], sendNow=True) == {"updated": True}
            assert when(await engine.event("acme", "messageSent")) - when(first) < 1


class TestPause:
    @pytest.mark.parametrize("account", [None, "acme"])
    async def test_what_is_paused_waits(
        self, account: str | None, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            await engine.register("other")
            await engine.pause(True, account)
            answer = await engine.submit("acme", "you@sandbox.example")
            await engine.submit("other", "you@sandbox.example")
            await trio.sleep(86_400)
            assert len(came(engine)) == (account is not None)
            entry = await engine.entry(answer["queueId"])
            assert (entry["state"], entry["waitingFor"]["kind"]) == ("queued", "paused")
        async with simulation.running() as engine:
            await trio.sleep(86_400)
            assert engine.events("acme", "messageSent") == [], "a restart lets nothing go"
            await engine.pause(False, account)
            await engine.event("acme", "messageSent")


class TestIdempotency:
    @pytest.mark.parametrize("key", ["", " ", '""', '" "'])
    async def test_an_empty_key_is_refused(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock, key: str
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            with pytest.raises(Problem) as refused:
                await engine.submit("acme", "you@sandbox.example", key=key)
            assert (refused.value.status, refused.value.extra["fields"][0]["key"]) == (400, "idempotency-key")

    async def test_copy_null_is_the_same_as_no_copy(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            first = await engine.submit("acme", "you@sandbox.example", key="k", copy=None)
            again = await engine.submit("acme", "you@sandbox.example", key="k")
            assert again == {**first, "idempotency": {"key": "k", "status": "HIT"}}
            with pytest.raises(Problem):
                await engine.submit("acme", "you@sandbox.example", key="k", copy=False)

    async def test_large_requests_are_compared_as_well(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            content = ["QUFB" * 100_000, "QUFB" * 99_999 + "QUFC"]
            first = await engine.submit("acme", "a@sandbox.example", key="k", attachments=[{"content": content[0]}])
            again = await engine.submit("acme", "a@sandbox.example", key="k", attachments=[{"content": content[0]}])
            assert again == {**first, "idempotency": {"key": "k", "status": "HIT"}}
            with pytest.raises(Problem):
                await engine.submit("acme", "a@sandbox.example", key="k", attachments=[{"content": content[1]}])

    async def test_the_same_again_is_the_first_answer(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            await engine.register("other")
            first = await engine.submit("acme", "you@sandbox.example", key='"order-1"')
            assert first["idempotency"] == {"key": "order-1", "status": "MISS"}
            again = await engine.submit("acme", "you@sandbox.example", key="order-1")
            assert again == {**first, "idempotency": {"key": "order-1", "status": "HIT"}}
            with pytest.raises(Problem) as conflict:
                await engine.submit("acme", "me@sandbox.example", key="order-1")
            assert (conflict.value.status, conflict.value.extra["code"]) == (409, "IdempotencyConflict")
            other = await engine.submit("other", "you@sandbox.example", key="order-1")
            assert other["idempotency"]["status"] == "MISS"
            await engine.event("acme", "messageSent")
        async with simulation.running() as engine:
            again = await engine.submit("acme", "you@sandbox.example", key="order-1")
            assert again["queueId"] == first["queueId"]
            assert (await engine.entry(first["queueId"]))["idempotencyKey"] == "order-1"
            await trio.sleep(86_400)
            assert len(engine.events("acme", "messageSent")) == 1

    async def test_many_at_once_are_one_message(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        answers: list[dict[str, Any]] = []
        async with simulation.running() as engine:
            await engine.register("acme")

            async def submit() -> None:
                answers.append(await engine.submit("acme", "you@sandbox.example", key="k"))

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(submit)
            assert len({each["queueId"] for each in answers}) == 1
            assert sorted(each["idempotency"]["status"] for each in answers) == ["HIT"] * 19 + ["MISS"]
            await engine.event("acme", "messageSent")
            await trio.sleep(3600)
            assert len(came(engine)) == 1

    async def test_rehearsals_and_refusals_are_not_remembered(
        self, simulation: Simulation, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with simulation.running() as engine:
            await engine.register("acme")
            assert "queueId" not in await engine.submit("acme", "you@sandbox.example", key="k", dryRun=True)
            with pytest.raises(Problem):
                await engine.submit("acme", "you@sandbox.example", key="k", headers={"Bcc": "x"})
            answer = await engine.submit("acme", "you@sandbox.example", key="k")
            assert answer["idempotency"]["status"] == "MISS"
