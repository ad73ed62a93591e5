"""What a caller with a token for one account may do with its sign-in: nothing that reaches another mailbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import Caller
from signed_in import ANN, at
from simulation import Simulation

SERVICE_APP = {
    "name": "All",
    "provider": "outlookService",
    "authority": "tenant.example",
    "clientId": "engine",
    "clientSecret": "s3cret",
    "enabled": True,
}
ELSEWHERE = {"host": "evil.example", "port": 993, "secure": True}


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def test_a_mailbox_that_nobody_is_asked_for_is_the_operators_to_choose(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with at(simulation) as it:
        app = (await it.ask("POST", "/v1/oauth2", SERVICE_APP))["id"]
        own = await Caller.of(it.engine, "ann")
        chief = {"provider": app, "auth": {"user": "chief@tenant.example"}}
        answer = await own.ask("POST", "/v1/account", {"account": "ann", "name": "Ann", "oauth2": chief})
        assert (answer.status, answer.json["code"]) == (403, "OAuth2AppNotAllowed")
        assert it.engine.context.registry.get("ann") is None
        hers = {"provider": app, "auth": {"user": "ann@tenant.example"}}
        await it.ask("POST", "/v1/account", {"account": "ann", "name": "Ann", "oauth2": hers})
        for change in (chief, {"partial": True, "auth": {"delegatedUser": "chief@tenant.example"}}):
            answer = await own.ask("PUT", "/v1/account/ann", {"oauth2": change})
            assert (answer.status, answer.json["code"]) == (403, "OAuth2AppNotAllowed")
        assert (await own.ask("PUT", "/v1/account/ann", {"oauth2": hers})).status == 200
        answer = await own.ask("PUT", "/v1/account/ann", {"oauth2": hers, "imap": ELSEWHERE})
        assert (answer.status, answer.json["code"]) == (403, "OAuth2ServerNotAllowed")


async def test_tokens_go_to_no_server_that_their_account_names(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        await it.register()
        own = await Caller.of(it.engine, "acme")
        answer = await own.ask("PUT", "/v1/account/acme", {"imap": ELSEWHERE})
        assert (answer.status, answer.json["code"]) == (403, "OAuth2ServerNotAllowed")
        assert "imap.host" in answer.json["message"] and "imap" not in await it.shown()
        with_password = {**ELSEWHERE, "auth": {"user": ANN, "pass": "geheim"}}
        assert (await own.ask("PUT", "/v1/account/acme", {"imap": with_password})).status == 200
        assert (await own.ask("PUT", "/v1/account/acme", {"name": "Another"})).status == 200


async def test_who_brings_the_tokens_says_where_they_go(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        own = await Caller.of(it.engine, "acme")
        _, oauth2 = it.granted()
        given = {"account": "acme", "name": "Acme", "oauth2": oauth2, "imap": ELSEWHERE}
        assert (await own.ask("POST", "/v1/account", given)).status == 200
