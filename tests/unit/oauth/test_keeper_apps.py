"""Token keepers while something is wrong with their app, and once it is mended."""

from __future__ import annotations

import msgspec
import pytest
import trio
from keeping import APP, Desk
from trio.testing import MockClock

from engine.oauth.errors import TokenError, Trouble
from engine.sandbox.oauth import Fault


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
    assert at.opens(await other.token())
    assert 7 <= keeper._failures <= 10
    assert len(at.events("oauth2AppError")) == 1


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
        assert at.opens(await keeper.token())
    assert made.error is None


async def test_an_app_that_works_again_by_itself_is_noticed(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.outage = Fault(status=401, error="invalid_client")
    keeper = at.keeper()
    await trio.sleep(1000)
    at.provider.outage = None
    await trio.sleep(700)
    assert at.opens(await keeper.token())
    assert at.book.made["app"].error is None


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
    assert at.opens(await keeper.token())


async def test_what_the_old_secret_was_told_says_nothing_of_the_new_one(at: Desk, autojump_clock: MockClock) -> None:
    at.provider.clients = {"engine": "another secret"}
    await at.sign_in(expires=at.world.now() - 1)
    at.provider.faults.append(Fault(after=10.0))
    keeper = at.keeper()
    await trio.sleep(5)
    made = at.book.made["app"]
    await at.book.change(made, msgspec.structs.replace(APP, client_secret="another secret"))
    await trio.sleep(6)
    assert at.opens(await keeper.token())
    assert at.events("oauth2AppError") == []
    assert trio.current_time() == 11


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
    assert at.opens(await keeper.token())
    assert trio.current_time() - began < 1


async def test_an_app_that_was_removed_is_not_to_be_created_again(at: Desk, autojump_clock: MockClock) -> None:
    await at.sign_in(expires=at.world.now() - 1)
    keeper = at.keeper()
    await at.book.remove(at.book.made["app"])
    with pytest.raises(TokenError) as caught:
        await keeper.token()
    assert str(caught.value) == "There is no OAuth2 app app"
    assert "POST /v1/authentication/form" in (caught.value.hint or "") and "again" not in (caught.value.hint or "")
