from __future__ import annotations

import functools
import itertools
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from simulation import Shutdown, Simulation, servers, when

from engine.config import DEFAULT_SCHEDULE
from engine.model.message_states import State
from engine.schema.account import AccountUpdate
from engine.store import sent_copies

SEED = 4711
REPORTS = ("messageSent", "messageDeliveryError", "messageInDoubt", "messageFailed")
START, GRACE = 1_800_000_000.0, 10.0


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


def names(events: list[dict[str, Any]]) -> list[str]:
    """The events about sending; copies in the Sent folder raise others."""
    return [each["event"] for each in events if each["event"].startswith("message") and each["event"] != "messageNew"]


async def test_a_message_is_sent_once_and_reported(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "you@sandbox.example")
        event = await engine.event("acme", "messageSent")
        assert event["data"]["messageId"] == answer["messageId"], SEED
        assert event["data"]["queueId"] == answer["queueId"]
        assert event["data"]["accepted"] == ["you@sandbox.example"]
        await trio.sleep(86_400)
        assert names(engine.events("acme")) == ["messageSent"], SEED
        assert [each.message_id for each in engine.sandbox.delivered] == [answer["messageId"]], SEED
        assert engine.state(answer["queueId"]) is State.SENT


async def test_a_message_put_off_twice_goes_out_by_the_schedule(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "defer2+x@sandbox.example")
        sent = await engine.event("acme", "messageSent")
        assert names(engine.events("acme")) == ["messageDeliveryError"] * 2 + ["messageSent"], SEED
        first, second = engine.events("acme", "messageDeliveryError")
        assert [each["data"]["job"]["attemptsMade"] for each in (first, second)] == [1, 2]
        assert when(second) - when(first) == pytest.approx(10, rel=0.11), SEED
        assert when(sent) - when(second) == pytest.approx(60, rel=0.11), SEED
        for error, following in ((first, second), (second, sent)):
            promised = when({"date": error["data"]["job"]["nextAttempt"]})
            assert when(following) == pytest.approx(promised, abs=0.1), SEED
            assert error["data"]["smtpResponseCode"] == 451
        assert sent["data"]["messageId"] == answer["messageId"]


async def test_a_refused_recipient_ends_at_once(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "reject+x@sandbox.example")
        failed = await engine.event("acme", "messageFailed")
        assert failed["data"]["smtpResponseCode"] == 550
        error = await engine.event("acme", "messageDeliveryError")
        for data in (error["data"], failed["data"], *failed["data"]["rejected"]):
            assert (data["explain"]["fault"], data["explain"]["known"]) == ("recipient", True)
        await trio.sleep(86_400)
        assert names(engine.events("acme")) == ["messageDeliveryError", "messageFailed"], SEED
        assert engine.state(answer["queueId"]) is State.FAILED
        assert engine.sandbox.delivered == []


async def test_one_gets_it_one_later_and_one_never(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        to = ("plain@sandbox.example", "defer1+x@sandbox.example", "reject+x@sandbox.example")
        answer = await engine.submit("acme", *to)
        await engine.event("acme", "messageSent", 2)
        first, second = engine.events("acme", "messageSent")
        assert first["data"]["accepted"] == [to[0]]
        assert [each["address"] for each in first["data"]["rejected"]] == [to[2]]
        assert second["data"]["accepted"] == [to[1]]
        assert sorted(each.recipient for each in engine.sandbox.delivered) == sorted(to[:2]), SEED
        entry = await engine.entry(answer["queueId"])
        faults = [each.get("explain", {}).get("fault") for each in entry["recipients"]]
        assert faults == [None, None, "recipient"]
        assert entry["attemptLog"][0]["explain"]["known"] and "explain" not in entry["attemptLog"][1]
        assert engine.state(answer["queueId"]) is State.SENT


async def test_a_line_cut_after_the_dot_is_a_doubt_said_and_sent_again(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "cut-after-dot1+x@sandbox.example")
        await engine.event("acme", "messageSent")
        error, doubt, sent = (event for event in engine.events("acme") if event["event"] in REPORTS)
        assert (error["event"], doubt["event"]) == ("messageDeliveryError", "messageInDoubt")
        assert doubt["data"]["onDoubt"] == "resend"
        assert doubt["data"]["nextAttempt"] == error["data"]["job"]["nextAttempt"]
        assert error["data"]["inDoubt"] is True, SEED
        assert "smtpResponseCode" not in error["data"] and "explain" not in error["data"]
        assert sent["data"]["messageId"] == answer["messageId"]
        assert [each.message_id for each in engine.sandbox.delivered] == [answer["messageId"]] * 2, SEED


async def test_tries_that_are_spent_end_the_message(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "defer+x@sandbox.example", deliveryAttempts=3)
        failed = await engine.event("acme", "messageFailed")
        assert names(engine.events("acme")) == ["messageDeliveryError"] * 3 + ["messageFailed"], SEED
        assert failed["data"]["attemptsMade"] == 3
        assert engine.events("acme", "messageDeliveryError")[-1]["data"]["job"]["nextAttempt"] is False
        assert engine.state(answer["queueId"]) is State.FAILED


async def test_days_of_failure_follow_the_schedule(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.submit("acme", "defer+x@sandbox.example")
        failed = await engine.event("acme", "messageFailed")
        times = [when(each) for each in engine.events("acme", "messageDeliveryError")]
        waits = [after - before for before, after in itertools.pairwise(times)]
        assert len(waits) == len(DEFAULT_SCHEDULE)
        for wait, planned in zip(waits, DEFAULT_SCHEDULE, strict=True):
            assert 0.9 * planned <= wait <= 1.1 * planned + 1, (SEED, waits)
        assert when(failed) - START > 3 * 86_400


async def test_a_server_that_is_back_after_hours_gets_everything(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.dead.add(587)
        answers = [await engine.submit("acme", f"{number}@sandbox.example") for number in range(5)]
        await trio.sleep(6 * 3600)
        assert engine.sandbox.delivered == []
        engine.sandbox.faults.dead.clear()
        await engine.until_ended(*(each["queueId"] for each in answers))
        assert len(engine.sandbox.delivered) == 5, SEED
        assert len(engine.events("acme", "messageSent")) == 5, SEED


async def test_the_right_password_sends_at_once(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme", **servers("acme", "first"))
        engine.sandbox.set_password("acme@sandbox.example", "second")
        answer = await engine.submit("acme", "you@sandbox.example")
        await trio.sleep(3 * 3600)
        assert engine.events("acme", "messageDeliveryError")[0]["data"]["errorCode"] == "EAUTH"
        assert len(engine.events("acme", "authenticationError")) == 1, SEED
        assert engine.state(answer["queueId"]) is State.QUEUED
        account = engine.context.registry.get("acme")
        assert account is not None
        auth = {"user": "acme@sandbox.example", "pass": "second"}
        change = {"imap": {"partial": True, "auth": auth}, "smtp": {"partial": True, "auth": auth}}
        changed = trio.current_time()
        await engine.context.registry.update(account, msgspec.convert(change, AccountUpdate))
        sent = await engine.event("acme", "messageSent")
        assert when(sent) - START - changed < 1, SEED
        await trio.sleep(5)
        assert account.status.last_error is None
        assert account.status.state == "connected"


async def test_a_hanging_server_holds_its_own_account_only(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("hung")
        await engine.register("well")
        await engine.submit("hung", "hang+x@sandbox.example")
        await trio.sleep(1)
        started = trio.current_time()
        for number in range(20):
            await engine.submit("well", f"{number}@sandbox.example")
        last = await engine.event("well", "messageSent", 20)
        assert when(last) - START - started < 1, SEED
        assert names(engine.events("hung")) == []
        doubt = await engine.event("hung", "messageDeliveryError")
        assert doubt["data"]["inDoubt"] is True
        assert when(doubt) - START >= 600, SEED


def sent_folder(engine: Any) -> int:
    return len(engine.sandbox.account("acme@sandbox.example").folders["Sent"].messages)


async def test_a_sent_copy_is_tried_again(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.sent_append_fails = 2
        await engine.submit("acme", "you@sandbox.example", bcc=[{"address": "secret@sandbox.example"}])
        await engine.event("acme", "messageSent")
        await trio.sleep(60)
        assert sent_folder(engine) == 0
        await trio.sleep(30)
        assert sent_folder(engine) == 1, SEED
        await trio.sleep(86_400)
        assert sent_folder(engine) == 1, SEED
        assert engine.events("acme", "messageCopyFailed") == []


@pytest.mark.parametrize("how", ["silence", "restart"])
async def test_a_sent_copy_that_was_filed_unheard_is_not_filed_again(
    simulation: Simulation, how: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The line is lost between the APPEND and its answer, or the engine stops there."""
    unheard: list[bytes] = []

    def rewrite(response: bytes) -> bytes:
        if unheard or b"APPENDUID" not in response:
            return response
        unheard.append(response)
        return b""

    async with simulation.running() as engine:
        await engine.register("acme")
        post = engine.sandbox._post
        engine.sandbox.faults.imap_rewrite = rewrite
        await engine.submit("acme", "you@sandbox.example")
        while not unheard:  # noqa: ASYNC110 - the clock jumps
            await trio.sleep(1)
        if how == "silence":
            await trio.sleep(600)
            assert sent_folder(engine) == 1
            return
    async with simulation.running(post=post) as engine:
        await trio.sleep(600)
        assert sent_folder(engine) == 1
        assert sent_copies.of_account(engine.context.store.reader, "acme") == []


async def test_a_sent_copy_that_never_works_is_given_up_and_said(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.sent_append_fails = 1000
        answer = await engine.submit("acme", "you@sandbox.example")
        event = await engine.event("acme", "messageCopyFailed")
        assert event["data"]["queueId"] == answer["queueId"]
        assert event["data"]["attemptsMade"] == 6
        assert 1000 - engine.sandbox.faults.sent_append_fails == 6, SEED
        await trio.sleep(86_400)
        assert len(engine.events("acme", "messageCopyFailed")) == 1
        assert engine.state(answer["queueId"]) is State.SENT


@pytest.mark.parametrize("seed", range(8))
async def test_a_restart_in_the_middle_loses_nothing(
    tmp_path: Path, seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    simulation = Simulation(tmp_path / "data", seed)
    random = simulation.world.random
    words = ("plain", "defer1+", "slow3+", "cut-before-keep1+", "cut-after-dot1+", "slow20+", "busy1+")
    accepted: dict[str, str] = {}
    delivered: Counter[str] = Counter()
    for start in range(4):
        async with simulation.running(cut=start % 2 == 0) as engine:
            if start == 0:
                await engine.register("one")
                await engine.register("two")
            for number in range(10):
                to = f"{random.choice(words)}{start}-{number}@sandbox.example"
                answer = await engine.submit(random.choice(("one", "two")), to)
                accepted[answer["queueId"]] = answer["messageId"]
                await trio.sleep(random.random())
            await trio.sleep(random.uniform(0, 15))
        delivered.update(each.message_id for each in engine.sandbox.delivered)
    async with simulation.running() as engine:
        await engine.until_ended(*accepted)
        delivered.update(each.message_id for each in engine.sandbox.delivered)
        events = engine.events("one") + engine.events("two")
        sent = Counter(each["data"]["queueId"] for each in events if each["event"] == "messageSent")
        assert sent == Counter(accepted.keys()), f"seed {seed}"
        assert set(delivered) == set(accepted.values()), f"seed {seed}"
        doubts = {each["data"]["queueId"] for each in events if each["data"].get("inDoubt")}
        twice = {queue_id for queue_id, message_id in accepted.items() if delivered[message_id] > 1}
        assert twice <= doubts, f"seed {seed}: a message arrived twice and nobody was told"
        numbers = sorted(each["seq"] for each in events)
        assert numbers == list(range(1, len(events) + 1)), f"seed {seed}"


async def test_a_stop_waits_for_a_slow_dot_within_the_grace(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    simulation = Simulation(tmp_path / "data", SEED, shutdown=Shutdown(grace=GRACE))
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "slow8+x@sandbox.example")
        await trio.sleep(1)
        stopped = trio.current_time()
    assert 6 < trio.current_time() - stopped < GRACE, SEED
    async with simulation.running() as engine:
        assert engine.state(answer["queueId"]) is State.SENT, SEED
        assert names(engine.events("acme")) == ["messageSent"]


async def test_a_dot_slower_than_the_grace_is_in_doubt_at_the_next_start(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    simulation = Simulation(tmp_path / "data", SEED, shutdown=Shutdown(grace=GRACE))
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "slow60+x@sandbox.example")
        await trio.sleep(1)
        stopped = trio.current_time()
    assert GRACE <= trio.current_time() - stopped < GRACE + 3, SEED
    async with simulation.running() as engine:
        error = await engine.event("acme", "messageDeliveryError")
        assert error["data"]["inDoubt"] is True
        sent = await engine.event("acme", "messageSent")
        assert sent["data"]["messageId"] == answer["messageId"]
        assert names(engine.events("acme")) == ["messageDeliveryError", "messageInDoubt", "messageSent"], SEED


async def test_a_crash_in_an_account_stays_in_it(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, engine_errors: list[Any]
) -> None:
    async with simulation.running() as engine:
        await engine.register("crash")
        await engine.register("well")
        account = engine.context.registry.get("crash")
        assert account is not None
        account._lane._may_send = functools.partial(next, iter(()))
        account._lane._agenda.poke()
        await engine.submit("well", "you@sandbox.example")
        await engine.event("well", "messageSent")
        await trio.sleep(10)
        assert account.status.last_error is not None
        assert account.status.last_error["serverResponseCode"] == "EINTERNAL"
        del account._lane._may_send
        await engine.submit("crash", "you@sandbox.example")
        await engine.event("crash", "messageSent")
    assert {record.levelno for record in engine_errors} == {logging.ERROR}


def test_the_same_seed_tells_the_same_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)

    def story(folder: Path, seed: int) -> list[dict[str, Any]]:
        trio._core._run._r.seed(seed)

        async def main() -> list[dict[str, Any]]:
            async with Simulation(folder, seed).running() as engine:
                words = ("plain", "defer2+", "reject+", "cut-after-dot1+", "slow5+")
                for name in ("one", "two", "three"):
                    await engine.register(name)
                answers = []
                for number in range(30):
                    word = engine.context.world.random.choice(words)
                    answers.append(
                        await engine.submit(("one", "two", "three")[number % 3], f"{word}{number}@b.example")
                    )
                await engine.until_ended(*(each["queueId"] for each in answers))
                await trio.sleep(3600)
                return [event for name in ("one", "two", "three") for event in engine.events(name)]

        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    first = story(tmp_path / "a", SEED)
    assert first == story(tmp_path / "b", SEED), f"seed {SEED} does not repeat"
    assert first != story(tmp_path / "c", SEED + 1)
