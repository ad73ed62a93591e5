"""Accounts that log in with what the operator's server gives: connected, sent through, held while it is down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
from asking import Caller
from http_peer import Asked, Said, serve
from simulation import CLEAR_TEXT, Engine, Simulation
from trio.testing import MockClock, memory_stream_pair

from engine.world import Choose

ANN = "ann@sandbox.example"
HOST = "logins.example"
SERVERS = {
    "imap": {"host": "imap.sandbox.example", "port": 143, "tls": CLEAR_TEXT, "useAuthServer": True},
    "smtp": {"host": "smtp.sandbox.example", "port": 587, "tls": CLEAR_TEXT, "useAuthServer": True},
}


class Logins:
    """The operator's server: a token of the sandbox for each request, `down` or not."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.down: Said | None = None
        self.password: str | None = None
        self.seconds = 3600
        self.asked: list[tuple[str, str]] = []

    async def answer(self, asked: Asked) -> Said:
        query = parse_qs(urlsplit(asked.target).query)
        self.asked.append((query["account"][0], query["proto"][0]))
        if self.down is not None:
            return self.down
        if self.password is not None:
            return Said(body={"user": ANN, "pass": self.password})
        token = self.engine.sandbox.oauth.grant(ANN).access_token
        return Said(body={"user": ANN, "accessToken": token, "expiresIn": self.seconds})


@asynccontextmanager
async def running(simulation: Simulation) -> AsyncIterator[tuple[Engine, Logins, Caller]]:
    """An engine whose `authServer` is there."""
    async with trio.open_nursery() as nursery:
        async with simulation.running() as engine:
            logins, world = Logins(engine), simulation.world
            dial = type(world).dial

            async def diverted(host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
                if host != HOST:
                    return await dial(world, host, port, choose)
                client, server = memory_stream_pair()
                nursery.start_soon(partial(serve, logins.answer), server)
                return client

            world.dial = diverted
            await engine.context.settings.update(auth_server=f"http://jo:geheim@{HOST}/creds?key=geheim")
            yield engine, logins, await Caller.of(engine)
        nursery.cancel_scope.cancel()


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 99)


async def registered(caller: Caller, **members: Any) -> None:
    given = {"account": "ann", "name": "Ann", "email": ANN, **SERVERS, **members}
    answer = await caller.ask("POST", "/v1/account", given)
    assert answer.status == 200, answer.json


async def test_an_account_connects_and_sends_with_what_is_given(
    simulation: Simulation, autojump_clock: MockClock
) -> None:
    async with running(simulation) as (engine, logins, caller):
        await registered(caller)
        await engine.event("ann", "accountInitialized")
        sent = await engine.submit("ann", "bob@sandbox.example")
        await engine.until_ended(sent["queueId"])
        assert len(engine.sandbox.delivered) == 1
        assert set(logins.asked) == {("ann", "imap"), ("ann", "smtp")}
        shown = (await caller.ask("GET", "/v1/account/ann")).json
        assert shown["imap"]["useAuthServer"] is True and "auth" not in shown["imap"]
        setting = (await caller.ask("GET", "/v1/settings?authServer=true")).json["authServer"]
        assert setting == f"http://******@{HOST}/creds?key=geheim"
    raw = b"".join(each.read_bytes() for each in simulation.folder.glob("journal.db*"))
    assert b"geheim" not in raw


async def test_days_of_short_tokens_ask_no_more_than_they_must(
    simulation: Simulation, autojump_clock: MockClock
) -> None:
    async with running(simulation) as (engine, logins, caller):
        await registered(caller)
        await engine.event("ann", "accountInitialized")
        for _ in range(24):
            await trio.sleep(3600)
            await engine.until_ended((await engine.submit("ann", "bob@sandbox.example"))["queueId"])
        assert len(engine.sandbox.delivered) == 24
        assert engine.events("ann", "authenticationError") == engine.events("ann", "connectError") == []
        assert len(logins.asked) <= 2 * 24 + 4


async def test_it_fails_closed_and_mail_waits(simulation: Simulation, autojump_clock: MockClock) -> None:
    async with running(simulation) as (engine, logins, caller):
        await registered(caller)
        await engine.event("ann", "accountInitialized")
        logins.down = Said(503, "geheim")
        await trio.sleep(4000)
        sent = await engine.submit("ann", "bob@sandbox.example")
        asked = len(logins.asked)
        await trio.sleep(3600)
        entry = await engine.entry(sent["queueId"])
        assert entry["attemptsMade"] == 0 and "auth server answered 503" in entry["waitingFor"]["remedy"]
        assert len(logins.asked) - asked <= 20, "asked ever later"
        shown = (await caller.ask("GET", "/v1/account/ann")).json
        assert shown["sending"]["state"] == "connectError"
        assert "auth server answered 503" in shown["sending"]["lastError"]["response"]
        assert "geheim" not in str(shown)
        logins.down = None
        await engine.until_ended(sent["queueId"])
        assert len(engine.sandbox.delivered) == 1
        assert (await engine.entry(sent["queueId"]))["attemptsMade"] == 1


async def test_nothing_for_the_account_is_an_authentication_error(
    simulation: Simulation, autojump_clock: MockClock
) -> None:
    async with running(simulation) as (engine, logins, caller):
        logins.down = Said(404, "x")
        await registered(caller)
        told = (await engine.event("ann", "authenticationError"))["data"]
        assert "no credentials for this account" in told["response"] and told["hint"].startswith("Have it answer 200")
        assert told["tokenRequest"]["status"] == 404 and "reauthUrl" not in told
        assert "key=******" in told["tokenRequest"]["url"] and "geheim" not in str(told)
        await trio.sleep(86_400)
        assert len(engine.events("ann", "authenticationError")) == 1
        logins.down = None
        await engine.event("ann", "accountInitialized")


async def test_a_refused_password_is_asked_for_again(simulation: Simulation, autojump_clock: MockClock) -> None:
    async with running(simulation) as (engine, logins, caller):
        engine.sandbox.set_password(ANN, "second")
        logins.password = "first"
        await registered(caller)
        told = (await engine.event("ann", "authenticationError"))["data"]
        assert "the login that the auth server gave" in told["description"]
        before = len(logins.asked)
        await trio.sleep(86_400)
        assert len(logins.asked) - before <= 400
        logins.password = "second"
        await engine.event("ann", "accountInitialized")


async def test_without_the_setting_nothing_is_dialled(simulation: Simulation, autojump_clock: MockClock) -> None:
    async with running(simulation) as (engine, logins, caller):
        await caller.ask("POST", "/v1/settings", {"authServer": None})
        await registered(caller)
        assert "authServer is not set" in (await engine.event("ann", "connectError"))["data"]["response"]
        await caller.ask("POST", "/v1/settings", {"authServer": f"http://{HOST}/"})
        with trio.fail_after(5):
            await engine.event("ann", "accountInitialized")
        assert logins.asked


async def test_a_stored_password_gives_way_and_comes_back(simulation: Simulation, autojump_clock: MockClock) -> None:
    async with running(simulation) as (engine, logins, caller):
        auth = {"user": ANN, "pass": "geheim"}
        with_password = {name: {**server, "auth": auth} for name, server in SERVERS.items()}
        both = await caller.ask("POST", "/v1/account", {"account": "x", "name": "x", **with_password})
        assert both.status == 400 and "useAuthServer" in both.json["fields"][0]["message"]
        plain = {name: {**server, "useAuthServer": False} for name, server in with_password.items()}
        await registered(caller, **plain)
        await engine.event("ann", "accountInitialized")
        assert logins.asked == []
        change: dict[str, dict[str, Any]] = {name: {"partial": True, "useAuthServer": True} for name in SERVERS}
        assert (await caller.ask("PUT", "/v1/account/ann", change)).status == 200
        record = engine.context.registry.get("ann").record
        assert not record.imap.auth and not record.smtp.auth
        await trio.sleep(60)
        assert ("ann", "imap") in logins.asked
        change = {name: {"partial": True, "auth": auth} for name in SERVERS}
        assert (await caller.ask("PUT", "/v1/account/ann", change)).status == 200
        record = engine.context.registry.get("ann").record
        assert not record.imap.use_auth_server and record.imap.auth.password == "geheim"


async def test_a_token_for_one_account_cannot_name_who_gets_the_logins(
    simulation: Simulation, autojump_clock: MockClock
) -> None:
    async with running(simulation) as (engine, _, caller):
        own = await Caller.of(engine, "ann")
        given = {"account": "ann", "name": "Ann", "email": ANN, **SERVERS}
        assert (await own.ask("POST", "/v1/account", given)).json["code"] == "AuthServerNotAllowed"
        await registered(caller)
        for change in ({"host": "evil.example"}, {"port": 993}):
            answer = await own.ask("PUT", "/v1/account/ann", {"imap": {"partial": True, **change}})
            assert (answer.status, answer.json["code"]) == (403, "AuthServerNotAllowed")
        assert (await own.ask("PUT", "/v1/account/ann", {"name": "Another"})).status == 200


async def test_servers_are_not_verified_with_it(simulation: Simulation, autojump_clock: MockClock) -> None:
    async with running(simulation) as (_, _, caller):
        answer = await caller.ask("POST", "/v1/verifyAccount", {"imap": SERVERS["imap"]})
        assert answer.status == 400 and answer.json["fields"][0]["path"] == "imap.useAuthServer"
