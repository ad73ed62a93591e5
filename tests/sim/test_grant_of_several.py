"""One person's tokens at several accounts, and a grant that goes with its account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from person import Person
from signed_in import ANN, at
from simulation import Simulation

from engine.oauth.token_requests import TokenRequests

TEAM = "team@sandbox.example"


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def test_two_accounts_cannot_share_a_refresh_token_that_is_good_once(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with at(simulation) as it:
        it.oauth.forgives = False
        it.oauth.shared[ANN] = {TEAM}
        _, oauth2 = it.granted()
        await it.ask("POST", "/v1/account", {"account": "acme", "name": "Acme", "oauth2": oauth2})
        team = {"account": "team", "name": "Team"}
        shared = {**oauth2, "auth": {"user": ANN, "delegatedUser": TEAM}}
        for hours in (0, 3):  # the token itself, and the one that became of it
            await trio.sleep(hours * 3600)
            answer = await it.caller.ask("POST", "/v1/account", {**team, "oauth2": shared})
            assert (answer.status, answer.json["fields"][0]["path"]) == (400, "oauth2.refreshToken")
            assert "account acme" in answer.json["fields"][0]["message"]
        _, fresh = it.granted()
        fresh["auth"] = shared["auth"]
        await it.ask("POST", "/v1/account", {**team, "oauth2": fresh})
        await trio.sleep(10 * 3600)
        assert [(await it.shown(each))["state"] for each in ("acme", "team")] == ["connected"] * 2
        assert it.oauth.reused == []


async def test_a_shared_mailbox_whose_name_is_no_address_is_signed_in_for_again(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with at(simulation) as it:
        it.oauth.shared[ANN] = {"<team>@sandbox.example"}
        _, oauth2 = it.granted()
        oauth2["auth"]["delegatedUser"] = "<team>@sandbox.example"
        await it.ask("POST", "/v1/account", {"account": "team", "name": "Team", "oauth2": oauth2})
        await it.until("connected", "team")
        it.oauth.revoke_user(ANN)
        shown = await it.until("authenticationError", "team")
        person = await Person.of(it.engine)
        await person.go(shown["lastError"]["reauthUrl"])
        await person.submit(user=ANN, decision="allow")
        shown = await it.until("connected", "team")
        assert shown["oauth2"]["auth"] == {"user": ANN, "delegatedUser": "<team>@sandbox.example"}


async def test_nobody_is_told_to_sign_in_for_an_account_that_goes(
    simulation: Simulation, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoke = TokenRequests.revoke

    async def revoke_slowly(self: TokenRequests, *given: Any) -> bool:
        done = await revoke(self, *given)
        await trio.sleep(15)
        return done

    monkeypatch.setattr(TokenRequests, "revoke", revoke_slowly)
    async with at(simulation) as it:
        issued = await it.register()
        await trio.sleep(3600 * 0.9 - 5)  # the next refresh is due in a moment
        await it.ask("DELETE", "/v1/account/acme?revoke=true")
        assert not issued.family.alive
        assert it.names()[-1] == "accountDeleted" and "authenticationError" not in it.names()


async def test_what_one_account_leaves_another_of_the_same_person_keeps(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with at(simulation) as it:
        it.oauth.shared[ANN] = {TEAM}
        own = await it.register()
        shared, oauth2 = it.granted()
        oauth2["auth"]["delegatedUser"] = TEAM
        await it.ask("POST", "/v1/account", {"account": "team", "name": "Team", "oauth2": oauth2})
        await it.until("connected", "team")
        await it.ask("DELETE", "/v1/account/acme?revoke=true")
        assert own.family.alive and shared.family.alive, "a provider may revoke both with one"
        await trio.sleep(2 * 3600)
        assert (await it.shown("team"))["state"] == "connected"
        await it.ask("DELETE", "/v1/account/team?revoke=true")
        assert not shared.family.alive
