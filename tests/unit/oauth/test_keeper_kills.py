"""The engine killed at every step of a refresh, against a provider that kills the family of a token used twice.

The provider is strict where the protocol lets it be: a refresh token is dead once a token of the pair that replaced it
was used, and using it then ends the grant. A kill must never make us do that, nor lose the only good token.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from keeping import SlowDisk, desk, provider

from engine.oauth.errors import TokenError
from engine.sandbox.oauth import Fault


class Killed(BaseException):
    """The process ends here."""


async def killed_at(folder: Path, world: SlowDisk, sandbox, step: int) -> bool:
    """Refresh once, killed at the commit with this number, before it (even) or after it (odd); whether it came to that.

    What was committed stays, everything else is gone.
    """
    came = False
    try:
        async with desk(folder, world, sandbox) as at:
            if not step:
                await at.sign_in(expires=world.now() - 1)
                return True
            commit, count = at.store.commit, 0

            async def counting(change):
                nonlocal count, came
                count += 1
                if 2 * count == step:
                    came = True
                    raise Killed
                result = await commit(change)
                if 2 * count + 1 == step:
                    came = True
                    raise Killed
                return result

            at.store.commit = counting
            keeper = at.keeper()
            token = await keeper.token()
            assert at.provider.opens(token.user, token.access_token)
            await keeper.accepted("imap", token.access_token)
    except BaseExceptionGroup as group:
        _, others = group.split(Killed)
        if others is not None:
            raise
    return came


@pytest.mark.parametrize("step", range(2, 8))
async def test_a_kill_at_any_step_loses_no_grant(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, step: int
) -> None:
    world = SlowDisk(step)
    async with provider(world) as sandbox:
        await killed_at(tmp_path / "data", world, sandbox, 0)
        assert await killed_at(tmp_path / "data", world, sandbox, step)
        async with desk(tmp_path / "data", world, sandbox) as at:
            keeper = at.keeper()
            for _ in range(5):
                token = await keeper.token()
                assert at.provider.opens(token.user, token.access_token)
                await keeper.accepted("imap", token.access_token)
                await trio.sleep(3700)
        assert sandbox.oauth.reused == []
        assert at.told.gone_for == []


async def test_no_step_was_left_out(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    world = SlowDisk(1)
    async with provider(world) as sandbox:
        await killed_at(tmp_path / "data", world, sandbox, 0)
        assert not await killed_at(tmp_path / "data", world, sandbox, 8)


async def test_what_a_kill_cut_short_is_asked_again_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    world = SlowDisk(1)
    async with provider(world) as sandbox:
        async with desk(tmp_path / "data", world, sandbox) as at:
            await at.sign_in()
            sandbox.oauth.faults.append(Fault(lost=True))
            keeper = at.keeper()
            token = await keeper.token()
            with pytest.raises(TokenError):
                await keeper.after_refusal("imap", token.access_token)
            assert sandbox.oauth.refreshes == 1
        async with desk(tmp_path / "data", world, sandbox) as at:
            at.keeper()
            await trio.sleep(0.1)
            assert sandbox.oauth.refreshes == 2
            assert sandbox.oauth.reused == []


async def test_where_an_answer_was_lost_for_good_the_owner_is_told_why(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    world = SlowDisk(1)
    async with provider(world) as sandbox, desk(tmp_path / "data", world, sandbox) as at:
        sandbox.oauth.forgives = False
        await at.sign_in(expires=world.now() - 1)
        sandbox.oauth.faults.append(Fault(lost=True))
        keeper = at.keeper()
        with pytest.raises(TokenError):
            await keeper.token()
        await trio.sleep(31)
        with pytest.raises(TokenError):
            await keeper.token()
        (told,) = at.told.gone_for
        assert told.hint is not None
        assert "cut off before its answer was stored" in told.hint
