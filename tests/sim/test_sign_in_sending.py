"""Whether an account that signs in can send (`sending`) follows its tokens, also while no mail waits."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from signed_in import ANN, at
from simulation import Simulation

from engine.sandbox.oauth import Fault


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def test_nothing_can_be_sent_once_the_grant_is_gone(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        app = it.app
        await it.register()
        it.oauth.revoke_user(ANN)
        shown = await it.until("authenticationError")
        assert shown["sending"]["state"] == "authenticationError", "from the same moment on"
        assert "sign in again" in shown["sending"]["lastError"]["hint"]
        await trio.sleep(7200)
        assert (await it.shown())["sending"]["since"] == shown["sending"]["since"]
        assert it.names().count("authenticationError") == 1
    async with at(simulation, app) as it:
        shown = await it.until("authenticationError")
        assert shown["sending"]["state"] == "authenticationError", "after a restart too"
        _, oauth2 = it.granted()
        await it.ask("PUT", "/v1/account/acme", {"oauth2": oauth2})
        shown = await it.until("connected")
        await trio.sleep(60)
        sending = (await it.shown())["sending"]
        assert (sending["state"], sending["lastError"]) == ("connected", None)


@pytest.mark.parametrize("broken", [False, True])
async def test_nothing_can_be_sent_while_no_token_can_be_had(
    simulation: Simulation, autojump_clock: object, broken: bool
) -> None:
    async with at(simulation) as it:
        await it.register()
        it.oauth.outage = Fault(status=401, error="invalid_client") if broken else Fault(status=503)
        await trio.sleep(2 * 3600)
        assert (await it.shown())["sending"]["state"] == "connected", "nobody has wanted to log in"
        await it.ask("PUT", "/v1/account/acme/reconnect", {"reconnect": True})
        shown = await it.until("connectError")
        await trio.sleep(60)
        shown = await it.shown()
        assert shown["state"] == shown["sending"]["state"] == "connectError"
        assert shown["sending"]["lastError"]["tokenRequest"]["status"] == (401 if broken else 503)
        it.oauth.outage = None
        await it.until("connected")
        await trio.sleep(60)
        sending = (await it.shown())["sending"]
        assert (sending["state"], sending["lastError"]) == ("connected", None)
        assert "authenticationError" not in it.names()
