"""An engine that is cancelled from outside: its store outlives all that still reads it and commits to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
import trio.testing
from asking import Caller
from simulation import CLEAR_TEXT, Simulation

from engine.config import SandboxConfig
from engine.isotime import iso
from engine.sandbox.oauth import Fault
from engine.sandbox.provider import Sandbox

ANN = "ann@sandbox.example"
APP: dict[str, Any] = {
    "name": "Own",
    "provider": "oidc",
    "enabled": True,
    "clientId": "engine",
    "clientSecret": "s3cret",
    "issuer": "http://sign-in.sandbox.example",
    "imap": {"host": "imap.sandbox.example", "port": 143, "secure": False},
    "smtp": {"host": "smtp.sandbox.example", "port": 587, "secure": False},
}


async def test_right_after_a_send_it_ends_without_a_word(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, engine_errors: list[Any]
) -> None:
    for moment in range(24, 66):
        async with Simulation(tmp_path / str(moment), moment).running(cut=True) as engine:
            await engine.register("ann")
            await engine.submit("ann", "bob@sandbox.example")
            await engine.submit("ann", "cleo@sandbox.example")
            for _ in range(moment):
                await trio.lowlevel.checkpoint()
    assert engine_errors == []


async def test_during_a_refresh_it_keeps_what_the_provider_still_answers(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    simulation = Simulation(tmp_path / "data", 1, sandbox=SandboxConfig(enabled=False))
    world = simulation.world
    sandbox = world.sandbox = Sandbox(world)
    sandbox.oauth.forgives = False
    async with trio.open_nursery() as nursery:
        await nursery.start(sandbox.run)
        async with simulation.running(cut=True) as engine:
            caller = await Caller.of(engine)
            app = (await caller.ask("POST", "/v1/oauth2", APP)).json["id"]
            issued = sandbox.oauth.grant(ANN)
            oauth2 = {
                "provider": app,
                "auth": {"user": ANN},
                "accessToken": issued.access_token,
                "refreshToken": issued.refresh_token,
                "expires": iso(world.now() + 3600),
            }
            servers = {each: {**APP[each], "tls": CLEAR_TEXT} for each in ("imap", "smtp")}
            given = {"account": "ann", "name": "Ann", "email": ANN, "oauth2": oauth2, **servers}
            assert (await caller.ask("POST", "/v1/account", given)).status == 200
            await engine.event("ann", "accountInitialized")
            sandbox.oauth.faults.append(Fault(after=2.0))
            await trio.sleep(3600 - 360 + 1)
            assert not sandbox.oauth.faults, "the refresh is under way"
        async with simulation.running() as engine:
            caller = await Caller.of(engine)
            await trio.sleep(2 * 3600)
            assert (await caller.ask("GET", "/v1/account/ann")).json["state"] == "connected"
            assert sandbox.oauth.refreshes >= 2 and sandbox.oauth.reused == []
        nursery.cancel_scope.cancel()
