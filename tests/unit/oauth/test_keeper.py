"""The token keeper against the sandbox's provider, on Trio's clock: what it asks, when, and what is on disk by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from keeping import APP, Desk, SlowDisk, desk, provider
from trio.testing import MockClock

from engine.oauth.errors import TokenError, Trouble
from engine.oauth.keeper import Keeper, Token
from engine.oauth.keepers import Keepers
from engine.sandbox.oauth import Fault
from engine.store import accounts


@pytest.fixture
async def at(tmp_path: Path, autojump_clock: MockClock):
    world = SlowDisk(1)
    async with provider(world) as sandbox, desk(tmp_path / "data", world, sandbox) as found:
        yield found


async def opens(at: Desk, token: Token) -> bool:
    """Whether a mail server would take it."""
    return at.provider.opens(token.user, token.access_token)


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
    assert await opens(at, second)
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


async def test_days_of_refreshes_lose_nothing_and_use_no_token_twice(at: Desk, autojump_clock: MockClock) -> None:
    at.provider.forgives = False
    await at.sign_in()
    keeper = at.keeper()
    for _ in range(12):
        await trio.sleep(86_400)
        token = await keeper.token()
        assert await opens(at, token)
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


async def test_what_is_wrong_with_the_app_for_one_account_is_asked_again_ever_later(
    at: Desk, autojump_clock: MockClock
) -> None:
    at.provider.outage = Fault(status=400, error="invalid_scope")
    await at.sign_in(expires=at.world.now() - 1)
    await at.sign_in("bob")
    keeper, other = at.keeper(), at.keeper("bob")
    for _ in range(12):
        await trio.sleep(280)
        with pytest.raises(TokenError) as caught:
            await keeper.token()
        assert caught.value.trouble is Trouble.APP_BROKEN
    assert await opens(at, await other.token())
    assert 7 <= keeper._failures <= 10
    assert len(at.events("oauth2AppError")) == 1


async def test_the_token_before_is_kept_until_the_new_one_has_worked(at: Desk, autojump_clock: MockClock) -> None:
    before = await at.sign_in(expires=at.world.now() - 1)
    keeper = at.keeper()
    token = await keeper.token()
    assert at.stored().previous_token == before.refresh_token
    await keeper.accepted("imap", "another token")
    assert at.stored().previous_token == before.refresh_token
    await keeper.accepted("imap", token.access_token)
    assert at.stored().previous_token is None


async def test_a_passing_failure_changes_nothing_and_is_asked_again_ever_later(
    at: Desk, autojump_clock: MockClock
) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.outage = Fault(status=503)
    keeper = at.keeper()
    began = trio.current_time()
    asked: list[Any] = []
    for wait in (0, 30, 60, 120, 240, 480, 600, 600):
        await trio.sleep_until(began + sum(asked) + wait + 1)
        asked.append(wait)
        with pytest.raises(TokenError) as caught:
            await keeper.token()
        assert caught.value.trouble is Trouble.PASSING
        assert keeper._failures == len(asked)
    at.provider.outage = None
    await trio.sleep(601)
    assert await opens(at, await keeper.token())
    assert keeper.trouble is None
    assert at.told.gone_for == []


async def test_retry_after_is_obeyed(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(status=429, retry_after="200"))
    keeper = at.keeper()
    await trio.sleep(199)
    assert at.provider.refreshes == 0
    await trio.sleep(2)
    assert at.provider.refreshes == 1
    assert await opens(at, await keeper.token())


async def test_a_good_token_goes_on_while_the_provider_is_down(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in()
    at.provider.outage = Fault(status=500)
    keeper = at.keeper()
    await trio.sleep(3500)
    assert await opens(at, await keeper.token())
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
    assert await opens(at, await keeper.token())


async def test_an_app_that_is_refused_is_told_of_once_and_one_account_asks_at_a_time(
    at: Desk, autojump_clock: MockClock
) -> None:
    at.provider.clients = {"engine": "another secret"}
    keepers = []
    for number in range(20):
        await at.sign_in(f"a{number}", expires=at.world.now() - 1)
    asked = 0
    accepted = at.provider.client

    def counting(client: str, secret: str) -> None:
        nonlocal asked
        asked += 1
        accepted(client, secret)

    at.provider.client = counting
    keepers = [at.keeper(f"a{number}") for number in range(20)]
    await trio.sleep(1)
    first = asked
    await trio.sleep(3600)
    assert asked - first <= 12
    assert at.told.gone_for == []
    (event,) = at.events("oauth2AppError")
    shown = msgspec.json.decode(event)["data"]
    assert shown["app"] == "app"
    assert shown["error"]["serverResponseCode"] == "invalid_client"
    assert "s3cret" not in event.decode()
    for keeper in keepers:
        with pytest.raises(TokenError) as caught:
            await keeper.token()
        assert caught.value.trouble is Trouble.APP_BROKEN
    made = at.book.made["app"]
    await at.book.change(made, msgspec.structs.replace(APP, client_secret="another secret"))
    for keeper in keepers:
        assert await opens(at, await keeper.token())
    assert made.error is None


async def test_an_app_that_works_again_by_itself_is_noticed(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.outage = Fault(status=401, error="invalid_client")
    keeper = at.keeper()
    await trio.sleep(1000)
    at.provider.outage = None
    await trio.sleep(700)
    assert await opens(at, await keeper.token())
    assert at.book.made["app"].error is None


async def test_a_refused_login_forces_one_refresh_and_the_second_refusal_counts(
    at: Desk, autojump_clock: MockClock
) -> None:
    await at.sign_in()
    keeper = at.keeper()
    first = await keeper.token()
    second = await keeper.after_refusal("imap", first.access_token)
    assert second is not None
    assert second != first
    assert at.provider.refreshes == 1
    assert await keeper.after_refusal("imap", second.access_token) is None
    # The other server had refused the old token: it gets the new one, and then one refresh of its own.
    assert await keeper.after_refusal("smtp", first.access_token) == second
    assert await keeper.after_refusal("smtp", second.access_token) is None
    for _ in range(5):
        assert (await keeper.token()) == second
        assert await keeper.after_refusal("imap", second.access_token) is None
    assert at.provider.refreshes == 1
    await keeper.accepted("imap", second.access_token)
    assert await keeper.after_refusal("imap", second.access_token) is not None
    assert at.provider.refreshes == 2


async def test_a_refusal_while_the_provider_is_down_is_not_judged(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in()
    at.provider.outage = Fault(status=503)
    keeper = at.keeper()
    token = await keeper.token()
    for _ in range(3):
        with pytest.raises(TokenError) as caught:
            await keeper.after_refusal("imap", token.access_token)
        assert caught.value.trouble is Trouble.PASSING
        assert await keeper.token() == token
    at.provider.outage = None
    await trio.sleep(31)
    assert await keeper.after_refusal("imap", token.access_token) is not None


async def test_a_provider_that_gives_the_same_access_token_again_does_not_loop(
    at: Desk, autojump_clock: MockClock
) -> None:
    issued = await at.sign_in()
    body = msgspec.json.encode({"access_token": issued.access_token, "expires_in": "3600"})
    at.provider.outage = Fault(body=body)
    keeper = at.keeper()
    token = await keeper.token()
    assert await keeper.after_refusal("imap", token.access_token) is None
    assert keeper.refreshes == 1


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
    assert await opens(at, await keeper.token())
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
    assert await opens(at, await keeper.token())
    await trio.sleep(3600)
    with pytest.raises(TokenError) as caught:
        await keeper.token()
    assert caught.value.trouble is Trouble.GRANT_GONE


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


async def test_without_its_app_a_keeper_waits_and_goes_on_once_there_is_one(
    at: Desk, autojump_clock: MockClock
) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    left = await at.book.remove(at.book.made["app"])
    assert left == 1
    keeper = at.keeper()
    with pytest.raises(TokenError) as caught:
        await keeper.token()
    assert caught.value.trouble is Trouble.APP_BROKEN
    await trio.sleep(10_000)
    await at.book.add(msgspec.structs.replace(APP, enabled=False))
    with pytest.raises(TokenError, match="not enabled"):
        await keeper.token()
    await at.book.change(at.book.made["app"], APP)
    assert await opens(at, await keeper.token())


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


async def test_what_the_old_secret_was_told_says_nothing_of_the_new_one(at: Desk, autojump_clock: MockClock) -> None:
    at.provider.clients = {"engine": "another secret"}
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(after=10.0))
    keeper = at.keeper()
    await trio.sleep(5)
    made = at.book.made["app"]
    await at.book.change(made, msgspec.structs.replace(APP, client_secret="another secret"))
    await trio.sleep(6)
    assert await opens(at, await keeper.token())
    assert at.events("oauth2AppError") == []
    assert trio.current_time() == 11


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
    assert await opens(at, await keeper.token())
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
    assert await opens(at, await keeper.token())
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
    assert await opens(at, await keeper.token())
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
        assert await opens(at, await keeper.token())
    assert at.provider.reused == [] and at.told.gone_for == []


async def test_a_changed_app_ends_the_wait_after_a_passing_failure_too(at: Desk, autojump_clock: MockClock) -> None:
    at.provider.outage = Fault(status=404, body=b"<html>")
    await at.sign_in(expires=at.world.now() - 1)
    keeper = at.keeper()
    await trio.sleep(3600)
    with pytest.raises(TokenError):
        await keeper.token()
    at.provider.outage = None
    began = trio.current_time()
    await at.book.change(at.book.made["app"], msgspec.structs.replace(APP, name="Mended"))
    assert await opens(at, await keeper.token())
    assert trio.current_time() - began < 1


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
        assert await opens(at, await keeper.token())
        assert trio.current_time() - before < 1, "who wants one waits for nothing but the answer"
        await trio.sleep(1.7)
