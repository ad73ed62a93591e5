"""What changes under a token keeper: a new sign-in, an access token given, its account removed, the engine stopped."""

from __future__ import annotations

import msgspec
import pytest
import trio
from keeping import Desk
from trio.testing import MockClock

from engine.oauth.errors import TokenError
from engine.oauth.keepers import Keepers
from engine.sandbox.oauth import Fault
from engine.store import accounts


async def test_who_signs_in_during_a_refresh_wins(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(after=10.0))
    keeper = at.keeper()
    await trio.sleep(1)
    newer = await at.sign_in()
    keeper.replace(newer, at.book.state("app"))
    await trio.sleep(20)
    assert at.stored().refresh_token == newer.refresh_token
    assert (await keeper.token()).access_token == newer.access_token


async def test_the_grant_goes_with_its_account_and_its_keeper_falls_silent(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    keeper = at.keeper(start=False)
    await at.store.commit(lambda tx: accounts.remove(tx, "ann"))
    assert at.store.reader.execute("SELECT count(*) FROM oauth_grant").fetchone() == (0,)
    at.start(keeper)
    with pytest.raises(TokenError):
        await keeper.token()
    await trio.sleep_until(100_000)
    assert at.provider.refreshes == 0


async def test_a_stop_waits_for_a_refresh_under_way(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(after=2.0))
    at.keeper()
    await trio.sleep(1)
    at.scopes["ann"].cancel()
    await trio.sleep(2)
    assert at.provider.refreshes == 1
    assert at.stored().obtained == at.world.now() - 1


async def test_a_stop_does_not_wait_for_ever(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(after=15.0))
    at.keeper()
    await trio.sleep(1)
    at.scopes["ann"].cancel()
    with trio.fail_after(4.5):
        await at.ended["ann"].wait()


async def test_a_login_that_succeeds_while_a_refresh_is_being_kept_undoes_nothing(
    at: Desk, autojump_clock: MockClock
) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    keeper = at.keeper()
    token = await keeper.token()
    assert at.stored().previous_token is not None
    at.provider.faults.append(Fault(after=1.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.after_refusal, "smtp", token.access_token)
        await trio.sleep(0.5)
        at.world.disk = trio.Event()
        await trio.sleep(1)
        assert at.provider.refreshes == 2
        nursery.start_soon(keeper.accepted, "imap", token.access_token)
        await trio.sleep(1)
        at.world.disk.set()
    newest = await keeper.token()
    assert newest != token
    assert at.stored() == keeper.grant
    assert at.stored().access_token == newest.access_token
    await trio.sleep(10_000)
    assert at.opens(await keeper.token())
    assert at.provider.reused == []


@pytest.mark.parametrize("error", ["invalid_grant", "server_error"])
async def test_what_the_old_grant_was_told_says_nothing_of_a_new_one(
    at: Desk, autojump_clock: MockClock, error: str
) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(status=400, error=error, after=10.0))
    keeper = at.keeper()
    await trio.sleep(1)
    keeper.replace(await at.sign_in(), at.book.state("app"))
    await trio.sleep(20)
    assert at.opens(await keeper.token())
    assert keeper.trouble is None
    assert at.told.gone_for == []
    assert at.stored().gone is None


async def test_an_access_token_given_during_a_refresh_loses_no_refresh_token(
    at: Desk, autojump_clock: MockClock
) -> None:
    at.provider.forgives = False
    before = await at.sign_in(expires=at.world.now() - 1)
    keepers = Keepers(at.book, at.requests, at.store, at.vault, at.world)
    at.provider.faults.append(Fault(after=10.0))
    keeper = keepers.take("ann", at.told)
    assert keeper is not None
    at.start(keeper)
    await trio.sleep(5)
    given = msgspec.structs.replace(before, access_token="given", refresh_token=None, expires=at.world.now() + 3600)
    await at.store.commit(lambda tx: keepers.save(tx, given, keeps_refresh_token=True))
    assert keepers.take("ann", at.told) is keeper and (await keeper.token()).access_token == "given"
    await trio.sleep(10)
    assert at.provider.refreshes == 1 and at.stored() == keeper.grant
    await trio.sleep(10_000)
    assert at.opens(await keeper.token())
    assert at.provider.reused == [] and at.told.gone_for == []


async def test_an_access_token_given_just_after_a_refresh_loses_none_either(
    at: Desk, autojump_clock: MockClock
) -> None:
    before = await at.sign_in(expires=at.world.now() - 1)
    keepers = Keepers(at.book, at.requests, at.store, at.vault, at.world)
    keeper = keepers.take("ann", at.told)
    assert keeper is not None
    at.start(keeper)
    await keeper.token()
    renewed = at.stored()
    given = msgspec.structs.replace(before, access_token="given", refresh_token=None)
    await at.store.commit(lambda tx: keepers.save(tx, given, keeps_refresh_token=True))
    assert at.stored().refresh_token == renewed.refresh_token != before.refresh_token
    assert at.stored().access_token == "given"
