"""When the token keeper refreshes, and what is on disk by then: against the sandbox's provider, on Trio's clock."""

from __future__ import annotations

import pytest
import trio
from keeping import Desk
from trio.testing import MockClock

from engine.sandbox.oauth import Fault


async def test_a_token_is_refreshed_before_it_expires_and_not_sooner(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in()
    keeper = at.keeper()
    first = await keeper.token()
    await trio.sleep(3600 - 360 - 1)  # a tenth of an hour
    assert (await keeper.token()) == first
    assert at.provider.refreshes == 0
    await trio.sleep(2)
    assert at.provider.refreshes == 1
    second = await keeper.token()
    assert second != first
    assert at.opens(second)
    assert at.stored().access_token == second.access_token


@pytest.mark.parametrize(("life", "after"), [(3600.0, 3240.0), (300.0, 240.0), (8.0, 6.0), (90.0, 67.5)])
async def test_when_it_is_refreshed(at: Desk, autojump_clock: MockClock, life: float, after: float) -> None:
    at.provider.access_seconds = life
    await at.sign_in()
    at.keeper()
    await trio.sleep(after - 0.1)
    assert at.provider.refreshes == 0
    await trio.sleep(0.2)
    assert at.provider.refreshes == 1


@pytest.mark.once
async def test_days_of_refreshes_lose_nothing_and_use_no_token_twice(at: Desk, autojump_clock: MockClock) -> None:
    at.provider.forgives = False
    await at.sign_in()
    keeper = at.keeper()
    for _ in range(12):
        await trio.sleep(86_400)
        token = await keeper.token()
        assert at.opens(token)
        await keeper.accepted("imap", token.access_token)
    assert at.provider.reused == []
    assert 12 * 24 <= at.provider.refreshes <= 12 * 27


async def test_one_refresh_serves_all_who_wait(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(after=3.0))
    keeper = at.keeper()
    found = []

    async def want() -> None:
        found.append(await keeper.token())

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(want)
    assert at.provider.refreshes == 1
    assert len({each.access_token for each in found}) == 1


async def test_the_new_refresh_token_is_on_disk_before_its_access_token_is_given_out(
    at: Desk, autojump_clock: MockClock
) -> None:
    before = await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(after=1.0))
    keeper = at.keeper()
    await trio.sleep(0.5)
    at.world.disk = trio.Event()
    with trio.move_on_after(30) as waiting:
        await keeper.token()
    assert waiting.cancelled_caught
    assert at.provider.refreshes == 1
    assert keeper.grant == at.stored()
    assert keeper.grant.refresh_token == before.refresh_token
    at.world.disk.set()
    token = await keeper.token()
    stored = at.stored()
    assert stored.access_token == token.access_token
    assert stored.refresh_token not in (None, before.refresh_token)
    assert stored.previous_token == before.refresh_token


async def test_the_token_before_is_kept_until_the_new_one_has_worked(at: Desk, autojump_clock: MockClock) -> None:
    before = await at.sign_in(expires=at.world.now() - 1)
    keeper = at.keeper()
    token = await keeper.token()
    assert at.stored().previous_token == before.refresh_token
    await keeper.accepted("imap", "another token")
    assert at.stored().previous_token == before.refresh_token
    await keeper.accepted("imap", token.access_token)
    assert at.stored().previous_token is None


@pytest.mark.once
async def test_tokens_that_expire_at_once_are_no_reason_to_ask_all_the_time(
    at: Desk, autojump_clock: MockClock
) -> None:
    at.provider.access_seconds = 1.0
    await at.sign_in()
    keeper = at.keeper()
    await trio.sleep(3600)
    assert at.provider.refreshes <= 3600 / 5
    for _ in range(20):
        before = trio.current_time()
        assert at.opens(await keeper.token())
        assert trio.current_time() - before < 1, "who wants one waits for nothing but the answer"
        await trio.sleep(1.7)
