"""The one more login, with another token, after a server has refused one."""

from __future__ import annotations

import msgspec
import pytest
import trio
from keeping import Desk
from trio.testing import MockClock

from engine.oauth.errors import TokenError, Trouble
from engine.sandbox.oauth import Fault


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
        assert not keeper.ready, "a login with it would be refused again"
        with pytest.raises(TokenError):
            await keeper.token()
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
