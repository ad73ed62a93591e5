"""Accounts registered with an access token alone: it serves to its end, and then its owner is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from asking import Caller
from person import SERVICE, Person
from simulation import Simulation

from engine.isotime import iso
from engine.model.message_states import State

ANN = "ann@sandbox.example"
APP = {"name": "Sandbox", "provider": "sandbox", "clientId": "engine", "clientSecret": "s3cret", "enabled": True}
LIFE = 3600.0


@pytest.mark.parametrize("says_when", [True, False])
async def test_it_serves_to_its_end_and_then_the_owner_signs_in(
    tmp_path: Path, autojump_clock: object, says_when: bool
) -> None:
    simulation = Simulation(tmp_path / "data", 4711)
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        await engine.context.settings.update(service_url=SERVICE)
        app = (await caller.ask("POST", "/v1/oauth2", APP)).json["id"]
        issued = engine.sandbox.oauth.grant(ANN)
        end = trio.current_time() + LIFE
        expires = {"expires": iso(engine.context.world.now() + LIFE)} if says_when else {}
        login = {"provider": app, "auth": {"user": ANN}, "accessToken": issued.access_token, **expires}
        given = {"account": "ann", "name": "Ann", "email": ANN, "oauth2": login}
        assert (await caller.ask("POST", "/v1/account", given)).status == 200
        await engine.event("ann", "accountInitialized")

        async def sent() -> str:
            return str((await engine.submit("ann", "you@x.example"))["queueId"])

        # Other tokens are renewed minutes before they end; this one has no successor.
        await trio.sleep_until(end - 2.0)
        assert (await caller.ask("PUT", "/v1/account/ann/reconnect", {"reconnect": True})).status == 200
        last = await sent()
        with trio.fail_after(1.9):
            await engine.until_ended(last)
        assert engine.state(last) is State.SENT
        shown = (await caller.ask("GET", "/v1/account/ann")).json
        assert (shown["state"], shown["lastError"]) == ("connected", None)
        assert "authenticationError" not in [each["event"] for each in engine.events("ann")]

        await trio.sleep_until(end + 30.0)  # an SMTP session that is open by then serves until it is idle
        held = await sent()
        told = (await engine.event("ann", "authenticationError"))["data"]
        what = "has expired" if says_when else "was refused"
        assert f"The access token {what} and there is no refresh token" in told["response"]
        assert "sign in" in told["hint"] and told["reauthUrl"].startswith(SERVICE)
        shown = (await caller.ask("GET", "/v1/account/ann")).json
        assert shown["state"] == "authenticationError" and shown["lastError"]["reauthUrl"].startswith(SERVICE)
        entry = await engine.entry(held)
        assert entry["waitingFor"]["kind"] == "login" and entry["attemptsMade"] == 0
        assert engine.sandbox.oauth.requests == 0, "there is nothing to ask the provider for"

        person = await Person.of(engine)
        await person.go(shown["lastError"]["reauthUrl"])
        await person.submit(user=ANN, decision="allow")
        with trio.fail_after(3600):
            await engine.until_ended(held)
        assert engine.state(held) is State.SENT
        assert [each["event"] for each in engine.events("ann")].count("authenticationError") == 1
