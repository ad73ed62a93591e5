"""What a token keeper does when it gets no token: ask ever later, or never again."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import trio
from keeping import APP, Desk
from trio.testing import MockClock

from engine.oauth.errors import TokenError, Trouble
from engine.oauth.http_client import Wire
from engine.oauth.keeper import Keeper
from engine.oauth.token_requests import TokenRequests
from engine.sandbox.oauth import Fault


async def test_a_passing_failure_changes_nothing_and_is_asked_again_ever_later(
    at: Desk, autojump_clock: MockClock
) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.outage = Fault(status=503)
    keeper = at.keeper()
    await trio.sleep(1)
    for wait in (30, 60, 120, 240, 480, 600, 600):
        asked, began = at.provider.requests, trio.current_time()
        with pytest.raises(TokenError) as caught:
            await keeper.token()
        assert caught.value.trouble is Trouble.PASSING
        await keeper.moves()
        assert at.provider.requests == asked + 1
        assert wait * 0.8 - 1 <= trio.current_time() - began <= wait
    at.provider.outage = None
    await trio.sleep(601)
    assert at.opens(await keeper.token())
    assert keeper.trouble is None
    assert at.told.gone_for == []


@pytest.mark.once
async def test_who_asks_while_it_waits_is_told_at_once_and_causes_no_request(
    at: Desk, autojump_clock: MockClock
) -> None:
    names = [f"u{number}" for number in range(20)]
    for name in names:
        await at.sign_in(name, expires=at.world.now() - 1)
    dialled: dict[float, int] = {}
    dial = at.sandbox.dial

    async def counted(host: str, port: int) -> trio.abc.Stream:
        now = trio.current_time()
        dialled[now] = dialled.get(now, 0) + 1
        return await dial(host, port)

    at.requests = TokenRequests(Wire(counted, counted), Wire(counted, counted), at.world)
    at.sandbox.faults.dead.add("sign-in.sandbox.example")
    keepers = [at.keeper(name) for name in names]
    await trio.sleep(1)
    assert dialled == {0: 20}

    async def asks_all_the_time(keeper: Keeper, server: str) -> None:
        while True:
            before = trio.current_time()
            with pytest.raises(TokenError, match="ECONNREFUSED"):
                await keeper.token()
            assert trio.current_time() == before
            await trio.sleep(5.0 if server == "imap" else 7.0)

    with trio.move_on_after(3600):
        async with trio.open_nursery() as nursery:
            for keeper in keepers:
                nursery.start_soon(asks_all_the_time, keeper, "imap")
                nursery.start_soon(asks_all_the_time, keeper, "smtp")
    assert 20 * 10 <= sum(dialled.values()) <= 20 * 12
    del dialled[0]
    assert max(dialled.values()) <= 3, "each account asks at its own time"


async def test_retry_after_is_obeyed(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(status=429, retry_after="200"))
    keeper = at.keeper()
    await trio.sleep(199)
    assert at.provider.refreshes == 0
    await trio.sleep(22)
    assert at.provider.refreshes == 1
    assert at.opens(await keeper.token())


async def test_a_good_token_goes_on_while_the_provider_is_down(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in()
    at.provider.outage = Fault(status=500)
    keeper = at.keeper()
    await trio.sleep(3500)
    assert at.opens(await keeper.token())
    await trio.sleep(100)
    with pytest.raises(TokenError):
        await keeper.token()


@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required", "consent_required"])
async def test_a_grant_that_is_gone_is_told_of_once_and_nothing_more_is_asked(
    at: Desk, autojump_clock: MockClock, error: str
) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.outage = Fault(status=400, error=error)
    keeper = at.keeper()
    for _ in range(3):
        with pytest.raises(TokenError) as caught:
            await keeper.token()
        assert caught.value.trouble is Trouble.GRANT_GONE
    at.provider.outage = None
    await trio.sleep_until(864_000)
    assert at.provider.refreshes == 0
    (told,) = at.told.gone_for
    assert told.hint is not None
    assert "sign in" in told.hint
    assert told.request["grant"] == "refresh_token"
    assert told.request["status"] == 400
    assert at.stored().gone is not None
    assert at.events("oauth2AppError") == []


async def test_a_grant_that_is_gone_stays_so_over_a_restart_until_somebody_signs_in(
    at: Desk, autojump_clock: MockClock
) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(status=400, error="invalid_grant"))
    keeper = at.keeper()
    with pytest.raises(TokenError):
        await keeper.token()
    at.scopes["ann"].cancel()
    keeper = at.keeper()
    with pytest.raises(TokenError):
        await keeper.token()
    assert at.provider.refreshes == 0
    assert len(at.told.gone_for) == 1
    keeper.replace(await at.sign_in(), at.book.state("app"))
    assert at.opens(await keeper.token())


async def test_old_tokens_are_tried_again_only_where_they_stay_valid(at: Desk, autojump_clock: MockClock) -> None:
    app = msgspec.structs.replace(
        APP,
        id="ms",
        provider="outlook",
        endpoints=msgspec.structs.replace(APP.of.endpoints, issuer="http://sign-in.sandbox.example"),
    )
    at.provider.rotates = False
    grant = await at.sign_in(app=app, expires=at.world.now() - 1)
    worse = msgspec.structs.replace(grant, refresh_token="not a token", previous_token=grant.refresh_token)
    keeper = Keeper(worse, at.book.state("ms"), at.requests, at.store, at.vault, at.world, at.told)
    at.start(keeper)
    assert at.opens(await keeper.token())
    assert at.stored().refresh_token == grant.refresh_token
    assert at.told.gone_for == []


async def test_a_rotated_token_is_never_tried_again(at: Desk, autojump_clock: MockClock) -> None:
    grant = await at.sign_in(expires=at.world.now() - 1)
    worse = msgspec.structs.replace(grant, refresh_token="not a token", previous_token=grant.refresh_token)
    keeper = Keeper(worse, at.book.state("app"), at.requests, at.store, at.vault, at.world, at.told)
    at.start(keeper)
    with pytest.raises(TokenError) as caught:
        await keeper.token()
    assert caught.value.trouble is Trouble.GRANT_GONE
    assert at.provider.refreshes == 0


async def test_an_access_token_without_a_refresh_token_ends_with_it(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(refresh_token=None)
    keeper = at.keeper()
    assert at.opens(await keeper.token())
    await trio.sleep(3600)
    with pytest.raises(TokenError) as caught:
        await keeper.token()
    assert caught.value.trouble is Trouble.GRANT_GONE
    assert str(caught.value) == "The access token has expired and there is no refresh token"


async def test_a_refused_access_token_without_a_refresh_token_is_not_called_expired(
    at: Desk, autojump_clock: MockClock
) -> None:
    await at.sign_in(refresh_token=None)
    keeper = at.keeper()
    refused = (await keeper.token()).access_token
    with pytest.raises(TokenError) as caught:
        await keeper.after_refusal("imap", refused)
    assert caught.value.trouble is Trouble.GRANT_GONE
    assert str(caught.value) == "The access token was refused and there is no refresh token"


async def test_those_who_wait_for_a_slow_provider_are_not_cut_short(at: Desk, autojump_clock: MockClock) -> None:
    at.provider.forgives = False
    at.provider.outage = Fault(after=19.0)
    names = [f"u{number}" for number in range(60)]
    for name in names:
        await at.sign_in(name, expires=at.world.now() - 1)
    keepers = [at.keeper(name) for name in names]
    await trio.sleep(3600)
    at.provider.outage = None
    for keeper in keepers:
        assert at.opens(await keeper.token())
    assert at.provider.reused == [] and at.told.gone_for == []


def refused_at_the_door(at: Desk) -> None:
    at.sandbox.faults.dead.add("sign-in.sandbox.example")


def lost_on_the_way(at: Desk) -> None:
    at.provider.faults.append(Fault(lost=True))


def answered_with_an_error(at: Desk) -> None:
    at.provider.faults.append(Fault(status=503))


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    ("fails", "lost"), [(refused_at_the_door, False), (answered_with_an_error, False), (lost_on_the_way, True)]
)
async def test_an_answer_is_called_lost_only_where_one_was(
    at: Desk, autojump_clock: MockClock, fails: Callable[[Desk], None], lost: bool, restarted: bool
) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    fails(at)
    keeper = at.keeper()
    with pytest.raises(TokenError) as caught:
        await keeper.token()
    assert caught.value.trouble is Trouble.PASSING
    if restarted:
        at.scopes["ann"].cancel()
        await at.ended["ann"].wait()
    at.sandbox.faults.dead.clear()
    at.provider.revoke_user("ann@sandbox.example")
    keeper = at.keeper() if restarted else keeper
    await trio.sleep(31)
    with pytest.raises(TokenError) as caught:
        await keeper.token()
    assert caught.value.trouble is Trouble.GRANT_GONE
    assert ("was cut off before its answer was stored" in str(caught.value.hint)) is lost
