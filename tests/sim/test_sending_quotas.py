"""The limits of providers: days of mail that stays below them, across restarts and clocks that are set."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from answers import plain
from simulation import Engine, Simulation, servers, when

from engine.api import quota
from engine.errors import Problem
from engine.model.message_states import State
from engine.sandbox.post_office import PostOffice
from engine.schema.account import AccountUpdate
from engine.schema.quota import QuotaUpdate

SEED = 4021
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
START = 1_800_000_000.0
USED_UP = "550 5.4.5 Daily user sending limit exceeded. For more information see the help"


class Provider:
    """An account with limits, and what the sandbox took from it: when, by Trio's clock, and to how many recipients."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.simulation = Simulation(folder / "data", SEED)
        self.taken: list[tuple[float, int]] = []
        deliver = PostOffice.deliver

        def noted(office: PostOffice, envelope: Any, raw: bytes) -> str:
            self.taken.append((trio.current_time(), len(envelope.recipients)))
            return deliver(office, envelope, raw)

        monkeypatch.setattr(PostOffice, "deliver", noted)

    @asynccontextmanager
    async def running(self, *, cut: bool = False, **limits: Any) -> AsyncIterator[Engine]:
        """An engine; with `limits`, the account is registered with them."""
        async with self.simulation.running(cut=cut) as engine:
            if limits:
                given = servers("acme", "secret")
                given["smtp"]["limits"] = limits
                given["imap"] = False
                await engine.register("acme", **given)
            yield engine

    def most(self, seconds: float, *, recipients: bool = False) -> int:
        """The most transactions, or recipients, that were taken within any such time."""
        return max(
            sum(count if recipients else 1 for at, count in self.taken if began <= at < began + seconds)
            for began, _ in self.taken
        )


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return Provider(tmp_path, monkeypatch)


async def change(engine: Engine, **smtp: Any) -> None:
    """Change the account's SMTP settings."""
    account = engine.context.registry.get("acme")
    assert account is not None
    update = msgspec.convert({"smtp": {"partial": True, **smtp}}, AccountUpdate)
    await engine.context.registry.update(account, update)


async def shown(engine: Engine) -> dict[str, Any]:
    """`GET /v1/account/acme/quota`."""
    return plain(await quota.read(engine.context, "acme"))


async def submit(engine: Engine, count: int, recipients: int = 1) -> list[str]:
    """Hand in messages; their queue ids."""
    to = [f"friend{number}@sandbox.example" for number in range(recipients)]
    return [(await engine.submit("acme", *to))["queueId"] for _ in range(count)]


async def test_days_of_mail_stay_below_the_limits_whatever_happens(
    provider: Provider, autojump_clock: trio.testing.MockClock
) -> None:
    """Restarts, a kill, the clock set ahead and back, while the engine runs and while it does not."""
    limits: dict[str, Any] = {"perMinute": 3, "perHour": 8, "perDay": 20, "recipientsPerDay": 30}
    world, ids = provider.simulation.world, list[str]()
    async with provider.running(**limits) as engine:
        ids += await submit(engine, 22) + await submit(engine, 1, recipients=7)
        await trio.sleep(2.5 * HOUR)
        world._start += 20 * HOUR
        await trio.sleep(0.5 * HOUR)
    world._start += 2 * DAY
    async with provider.running(cut=True) as engine:
        await trio.sleep(2 * HOUR)
        world._start -= 5 * DAY
        await trio.sleep(0.5 * HOUR)
    async with provider.running() as engine:
        ids += await submit(engine, 5)
        await trio.sleep(3 * HOUR)
    world._start -= 300 * DAY
    async with provider.running() as engine:
        await engine.until_ended(*ids)
        assert {engine.state(each) for each in ids} == {State.SENT}
    assert len(provider.taken) == len(ids)
    assert provider.most(MINUTE) <= 3
    assert provider.most(HOUR) <= 8
    assert provider.most(DAY) <= 20
    assert provider.most(DAY, recipients=True) <= 30
    # 28 messages at 20 a day need more than one day; evenly, not many more.
    assert DAY < provider.taken[-1][0] - provider.taken[0][0] < 2 * DAY


async def test_a_window_that_was_full_lets_mail_out_evenly(
    provider: Provider, autojump_clock: trio.testing.MockClock
) -> None:
    async with provider.running(perHour=6) as engine:
        await submit(engine, 6)
        await trio.sleep(10 * MINUTE)
        waiting = await submit(engine, 4)
        await trio.sleep(1)
        entry = await engine.entry(waiting[-1])
        assert entry["waitingFor"]["kind"] == "quota"
        first = provider.taken[0][0]
        assert when({"date": entry["waitingFor"]["until"]}) == pytest.approx(START + first + HOUR, abs=5)
        await engine.until_ended(*waiting)
        late = [at for at, _ in provider.taken[6:]]
        assert late[0] == pytest.approx(first + HOUR, abs=5)
        assert min(later - sooner for sooner, later in itertools.pairwise(late)) > 0.99 * 10 * MINUTE
        # Nothing waits any more, and the window has room: there is no reason to hold mail back.
        await trio.sleep(HOUR)
        began = trio.current_time()
        await engine.until_ended(*await submit(engine, 5))
        assert trio.current_time() - began < MINUTE


async def test_what_was_sent_before_there_were_limits_counts(
    provider: Provider, autojump_clock: trio.testing.MockClock
) -> None:
    async with provider.running(preset="none") as engine:
        await engine.until_ended(*await submit(engine, 4))
        assert (await shown(engine))["windows"] == []
        await change(engine, limits={"perDay": 5})
        (window,) = (await shown(engine))["windows"]
        assert (window["used"], window["left"]) == (4, 1)
        sent, waits = await submit(engine, 2)
        await engine.until_ended(sent)
        await trio.sleep(HOUR)
        assert (await engine.entry(waits))["waitingFor"]["kind"] == "quota"
        await change(engine, limits=None)
        await engine.until_ended(waits)


async def test_what_has_counted_never_counts_again_whatever_the_clock_says(
    provider: Provider, autojump_clock: trio.testing.MockClock
) -> None:
    async with provider.running(perDay=3) as engine:
        await engine.until_ended(*await submit(engine, 3))
        await trio.sleep(1.5 * DAY)
        await engine.until_ended(*await submit(engine, 1))
    provider.simulation.world._start -= 300 * DAY
    await trio.sleep(DAY)
    async with provider.running() as engine:
        assert (await shown(engine))["windows"][0]["used"] == 0


async def test_mail_that_waits_goes_in_time_although_the_clock_is_set_back(
    provider: Provider, autojump_clock: trio.testing.MockClock
) -> None:
    async with provider.running(recipientsPerDay=10) as engine:
        await engine.until_ended(*await submit(engine, 1, recipients=8))
        (large,) = await submit(engine, 1, recipients=4)
        await trio.sleep(HOUR)
        provider.simulation.world._start -= 300 * DAY
        await trio.sleep(DAY)
        assert engine.state(large) is State.SENT


async def test_a_dot_without_a_reply_counts_over_a_kill(
    provider: Provider, autojump_clock: trio.testing.MockClock
) -> None:
    async with provider.running(cut=True, perDay=2) as engine:
        await engine.submit("acme", "slow100+x@sandbox.example")
        await trio.sleep(10)
        assert (await shown(engine))["windows"][0]["used"] == 1
    async with provider.running() as engine:
        await submit(engine, 2)
        await trio.sleep(20 * HOUR)
        assert len(provider.taken) == 2


async def test_the_first_message_is_not_starved_by_smaller_ones(
    provider: Provider, autojump_clock: trio.testing.MockClock
) -> None:
    async with provider.running(recipientsPerDay=10) as engine:
        await engine.until_ended(*await submit(engine, 4))
        (large,) = await submit(engine, 1, recipients=8)
        small = await submit(engine, 3)
        await trio.sleep(HOUR)
        assert {engine.state(each) for each in (large, *small)} == {State.QUEUED}
        # Without it, those behind it go.
        await engine.cancel(large)
        await engine.until_ended(*small)
        assert trio.current_time() < DAY


class TestRecipients:
    async def test_too_many_for_one_transaction_go_in_several(
        self, provider: Provider, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with provider.running(perDay=6, recipientsPerMessage=3) as engine:
            await engine.until_ended(*await submit(engine, 1, recipients=8))
            assert [count for _, count in provider.taken] == [3, 3, 2]
            answer = await shown(engine)
            assert (answer["windows"][0]["used"], answer["recipientsPerMessage"]) == (3, 3)
            with pytest.raises(Problem) as refused:
                await submit(engine, 1, recipients=19)
            assert "smtp.limits.perDay (6)" in refused.value.extra["fields"][0]["message"]

    async def test_or_are_refused(self, provider: Provider, autojump_clock: trio.testing.MockClock) -> None:
        async with provider.running(recipientsPerMessage=3, tooManyRecipients="refuse") as engine:
            with pytest.raises(Problem) as refused:
                await submit(engine, 1, recipients=4)
            assert (refused.value.status, refused.value.extra["code"]) == (400, "TooManyRecipients")
            await engine.until_ended(*await submit(engine, 1, recipients=3))

    async def test_what_new_limits_never_allow_fails_with_the_reason(
        self, provider: Provider, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with provider.running(preset="none") as engine:
            await engine.pause(True, "acme")
            (large,) = await submit(engine, 1, recipients=5)
            (small,) = await submit(engine, 1)
            await change(engine, limits={"recipientsPerDay": 4})
            await engine.pause(False, "acme")
            await engine.until_ended(large, small)
            assert (engine.state(large), engine.state(small)) == (State.FAILED, State.SENT)
            assert "smtp.limits.recipientsPerDay (4)" in (await engine.event("acme", "messageFailed"))["data"]["error"]


class TestProvider:
    async def test_its_word_closes_the_account_and_charges_nothing(
        self, provider: Provider, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with provider.running(perDay=100) as engine:
            engine.sandbox.faults.smtp_rewrite = lambda line: USED_UP if line.startswith("354") else line
            ids = await submit(engine, 3)
            failed = await engine.event("acme", "messageDeliveryError")
            assert failed["data"]["smtpResponseCode"] == 550
            assert when({"date": failed["data"]["job"]["nextAttempt"]}) == pytest.approx(when(failed) + DAY, abs=2)
            await trio.sleep(HOUR)
            entry = await engine.entry(ids[0])
            assert (entry["waitingFor"]["kind"], entry["attemptsMade"]) == ("quota", 0)
            assert USED_UP in entry["waitingFor"]["remedy"]
            answer = await shown(engine)
            assert answer["closed"]["response"] == USED_UP
            assert (answer["windows"][0]["used"], answer["waiting"]) == (0, 3)
        async with provider.running() as engine:
            await trio.sleep(22 * HOUR)
            assert {engine.state(each) for each in ids} == {State.QUEUED}
            await engine.until_ended(*ids)
            assert len(engine.events("acme", "messageDeliveryError")) == 1
        assert provider.taken[0][0] == pytest.approx(DAY, abs=MINUTE)

    async def test_it_is_closed_for_as_long_as_it_says_and_can_be_opened(
        self, provider: Provider, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with provider.running(preset="none") as engine:
            said = "452 4.5.0 Hourly sending quota exceeded, try again in 20 minutes"
            engine.sandbox.faults.smtp_rewrite = lambda line: said if line.startswith("250 2.0.0 Ok: queued") else line
            ids = await submit(engine, 2)
            await engine.event("acme", "messageDeliveryError")
            began = trio.current_time()
            assert {engine.state(each) for each in ids} == {State.QUEUED}
            engine.sandbox.faults.smtp_rewrite = None
            await engine.until_ended(ids[0])
            assert trio.current_time() - began == pytest.approx(20 * MINUTE, abs=30)
            engine.sandbox.faults.smtp_rewrite = lambda line: USED_UP if line.startswith("354") else line
            (late,) = await submit(engine, 1)
            await engine.event("acme", "messageDeliveryError", 2)
            engine.sandbox.faults.smtp_rewrite = None
            await quota.update(engine.context, "acme", QuotaUpdate(reopen=True))
            began = trio.current_time()
            await engine.until_ended(late)
            assert trio.current_time() - began < MINUTE

    async def test_of_several_recipients_only_those_it_put_off_wait(
        self, provider: Provider, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with provider.running(preset="none") as engine:
            engine.sandbox.faults.smtp_rewrite = lambda line: USED_UP if line.startswith("451") else line
            answer = await engine.submit(
                "acme", "friend@sandbox.example", "defer1+x@sandbox.example", deliveryAttempts=1
            )
            await engine.event("acme", "messageSent")
            await trio.sleep(HOUR)
            entry = await engine.entry(answer["queueId"])
            assert [each["state"] for each in entry["recipients"]] == ["sent", "deferred"]
            assert entry["waitingFor"]["kind"] == "quota"
            await engine.until_ended(answer["queueId"])
            assert engine.state(answer["queueId"]) is State.SENT
