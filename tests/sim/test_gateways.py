"""Messages through gateways: whose server they go by, and whom a broken gateway costs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Caller
from simulation import CLEAR_TEXT, Engine, Simulation, killed, servers

from engine import doctor
from engine.errors import NetworkError, NetworkKind
from engine.model.message_states import State
from engine.world import Choose

PASSWORD = "correct-horse-battery"


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4713)


@pytest.fixture
def dead(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Hosts that refuse every connection."""
    hosts: set[str] = set()
    dial = simulation.world.dial

    async def refusing(host: str, port: int, choose: Choose | None = None, local: Any = ()) -> trio.abc.Stream:
        if host in hosts:
            raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", f"connect ECONNREFUSED {host}:{port}")
        return await dial(host, port)

    monkeypatch.setattr(simulation.world, "dial", refusing)
    return hosts


def relay(name: str, **members: Any) -> dict[str, Any]:
    login = {"user": f"{name}@sandbox.example", "pass": PASSWORD}
    return {
        "gateway": name,
        "name": name,
        "host": f"{name}.example",
        "port": 587,
        "tls": CLEAR_TEXT,
        **login,
        **members,
    }


async def created(engine: Engine, name: str, **members: Any) -> Caller:
    caller = await Caller.of(engine)
    answer = await caller.ask("POST", "/v1/gateway", relay(name, **members))
    assert answer.json == {"gateway": name, "state": "new"}
    return caller


async def read(caller: Caller, name: str) -> Any:
    return (await caller.ask("GET", f"/v1/gateway/{name}")).json


async def test_a_message_goes_by_the_gateway_and_all_say_so(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await created(engine, "relay")
        await engine.register("acme", logs=True)
        answer = await engine.submit("acme", "a@sandbox.example", gateway="relay")
        await engine.until_ended(answer["queueId"])
        sent = (await engine.event("acme", "messageSent"))["data"]
        assert sent["gateway"] == "relay"
        assert "sandbox" not in sent
        entry = await engine.entry(answer["queueId"])
        assert entry["gateway"] == "relay"
        assert entry["attemptLog"][0]["server"] == "relay.example:587"
        found = await read(caller, "relay")
        assert (found["deliveries"], found["lastError"], found["pass"]) == (1, None, "******")
        assert found["lastUse"] == entry["ended"]
        log = (await caller.ask("GET", "/v1/logs/acme")).body.decode()
        assert "through the gateway relay" in log
        own = await engine.submit("acme", "a@sandbox.example")
        await engine.until_ended(own["queueId"])
        assert (await engine.entry(own["queueId"]))["gateway"] is None
        assert (await read(caller, "relay"))["deliveries"] == 1
        assert "gateway" not in engine.events("acme", "messageSent")[1]["data"]


async def test_one_that_does_not_exist_makes_no_difference(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "a@sandbox.example", gateway="nosuch")
        await engine.until_ended(answer["queueId"])
        assert engine.state(answer["queueId"]) is State.SENT
        assert (await engine.entry(answer["queueId"]))["gateway"] is None


async def test_an_account_without_a_server_sends_through_it(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await created(engine, "relay")
        body = {"account": "bare", "name": "Bare", "email": "bare@sandbox.example", "imap": False, "smtp": False}
        assert (await caller.ask("POST", "/v1/account", body)).status == 200
        message = {"to": [{"address": "a@sandbox.example"}]}
        refused = await caller.ask("POST", "/v1/account/bare/submit", message)
        assert (refused.status, refused.json["code"]) == (404, "SMTPUnavailable")
        tenant = await Caller.of(engine, "bare")
        answer = await tenant.ask("POST", "/v1/account/bare/submit", {**message, "gateway": "relay"})
        assert answer.status == 200, answer.json
        await engine.until_ended(answer.json["queueId"])
        assert engine.state(answer.json["queueId"]) is State.SENT


async def test_a_refused_login_holds_only_what_goes_through_it(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.set_password("bad@sandbox.example", "another")
        caller = await created(engine, "bad")
        await created(engine, "good")
        for name in ("acme", "beta"):
            await engine.register(name)
        held = [(await engine.submit(name, "a@sandbox.example", gateway="bad"))["queueId"] for name in ("acme", "beta")]
        await trio.sleep(120)
        free = [
            (await engine.submit("acme", "a@sandbox.example"))["queueId"],
            (await engine.submit("acme", "a@sandbox.example", gateway="good"))["queueId"],
        ]
        with trio.fail_after(5):
            await engine.until_ended(*free)
        entries = [await engine.entry(each) for each in held]
        assert {each["waitingFor"]["kind"] for each in entries} == {"login"}
        assert "PUT /v1/gateway/edit/bad" in entries[0]["waitingFor"]["remedy"]
        assert {each["attemptsMade"] for each in entries} == {0}
        error = (await read(caller, "bad"))["lastError"]
        assert error["serverResponseCode"] == "535"
        assert "gateway.user and gateway.pass" in error["description"]
        finding = doctor.gateways(simulation.config)
        assert not finding.ok
        assert error["description"] in finding.text
        account = (await caller.ask("GET", "/v1/account/acme")).json
        assert (account["state"], account["lastError"]) == ("connected", None)
        assert "PASSWORD" not in str(entries)
        changed = await caller.ask("PUT", "/v1/gateway/edit/bad", {"pass": "another"})
        assert changed.json == {"gateway": "bad"}
        with trio.fail_after(5):
            await engine.until_ended(*held)
        found = await read(caller, "bad")
        assert (found["deliveries"], found["lastError"]) == (2, None)


async def test_an_unreachable_one_holds_only_what_goes_through_it(
    simulation: Simulation, dead: set[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        dead.add("bad.example")
        await created(engine, "bad")
        await created(engine, "good")
        await engine.register("acme", **servers("acme", "secret"))
        held = (await engine.submit("acme", "a@sandbox.example", gateway="bad"))["queueId"]
        await trio.sleep(60)
        free = [
            (await engine.submit("acme", "a@sandbox.example", **way))["queueId"] for way in ({}, {"gateway": "good"})
        ]
        with trio.fail_after(5):
            await engine.until_ended(*free)
        waiting = (await engine.entry(held))["waitingFor"]
        assert waiting["kind"] in ("connection", "retry")
        assert "bad.example" in waiting["remedy"]
        dead.clear()
        with trio.fail_after(400):
            await engine.until_ended(held)
        assert engine.state(held) is State.SENT
        # And the other way round: the account's own server is down, and no session to it is open any more.
        await trio.sleep(300)
        dead.add("smtp.sandbox.example")
        own = (await engine.submit("acme", "a@sandbox.example"))["queueId"]
        await trio.sleep(60)
        with trio.fail_after(5):
            await engine.until_ended((await engine.submit("acme", "a@sandbox.example", gateway="good"))["queueId"])
        assert engine.state(own) in (State.QUEUED, State.DEFERRED)


async def test_a_removed_one_loses_nothing(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        caller = await created(engine, "relay")
        await engine.register("acme", imap=False, smtp=servers("acme", "secret")["smtp"])
        await engine.pause(True)
        due = [(await engine.submit("acme", "a@sandbox.example", gateway="relay"))["queueId"] for _ in range(3)]
        later = (await engine.submit("acme", "a@x.example", gateway="relay", sendAt="2027-06-01T00:00:00Z"))["queueId"]
        removed = await caller.ask("DELETE", "/v1/gateway/relay")
        assert removed.json == {"gateway": "relay", "deleted": True, "waiting": 4}
        assert (await caller.ask("GET", "/v1/gateway/relay")).status == 404
        assert "4 messages wait for it" in doctor.gateways(simulation.config).text
        await engine.pause(False)
        await trio.sleep(86_400)
        for each in (*due, later):
            waiting = (await engine.entry(each))["waitingFor"]
            assert waiting["kind"] == "gateway"
            assert "relay was removed" in waiting["remedy"]
    async with simulation.running() as engine:
        await trio.sleep(60)
        assert {engine.state(each) for each in due} == {State.QUEUED}
        caller = await created(engine, "relay")
        with trio.fail_after(5):
            await engine.until_ended(*due)
        assert {engine.state(each) for each in due} == {State.SENT}
        assert (await engine.entry(later))["waitingFor"]["kind"] == "schedule"


async def test_accounts_take_turns(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await created(engine, "relay")
        for name in ("many", "one", "still"):
            await engine.register(name)
        await engine.pause(True)
        for number in range(50):
            await engine.submit("many", f"{number}@sandbox.example", gateway="relay")
        await engine.submit("one", "one@sandbox.example", gateway="relay")
        held = (await engine.submit("still", "still@sandbox.example", gateway="relay"))["queueId"]
        await engine.pause(True, "still")
        await engine.pause(False)
        await engine.event("many", "messageSent", 50)
        order = [each.recipient for each in engine.sandbox.delivered]
        assert order.index("one@sandbox.example") < 3, order
        assert (await engine.entry(held))["waitingFor"]["kind"] == "paused"
        await engine.pause(False, "still")
        with trio.fail_after(5):
            await engine.until_ended(held)


async def test_what_was_under_way_at_a_kill_goes_on(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await created(engine, "relay")
        await engine.register("acme")
        await engine.pause(True)
        queued = [(await engine.submit("acme", "a@sandbox.example", gateway="relay"))["queueId"] for _ in range(2)]
    killed(simulation)
    async with simulation.running() as engine:
        await engine.pause(False)
        with trio.fail_after(60):
            await engine.until_ended(*queued)
        assert {engine.state(each) for each in queued} == {State.SENT}


async def test_a_dead_proxy_of_an_account_holds_only_its_own(
    simulation: Simulation, dead: set[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await created(engine, "relay")
        await engine.register("acme")
        body = {"account": "far", "name": "Far", "email": "far@sandbox.example", "proxy": "socks5://proxy.example:1080"}
        assert (await caller.ask("POST", "/v1/account", {**body, **servers("far", "secret")})).status == 200
        dead.add("proxy.example")
        held = await caller.ask(
            "POST", "/v1/account/far/submit", {"to": [{"address": "a@x.example"}], "gateway": "relay"}
        )
        await trio.sleep(60)
        with trio.fail_after(5):
            await engine.until_ended((await engine.submit("acme", "a@sandbox.example", gateway="relay"))["queueId"])
        entry = await engine.entry(held.json["queueId"])
        assert (entry["state"], entry["waitingFor"]["kind"]) == ("deferred", "retry")
        assert (await read(caller, "relay"))["lastError"] is None


async def test_its_password_is_sealed_and_a_mask_is_refused(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await created(engine, "relay")
        for method, target in (("POST", "/v1/gateway"), ("PUT", "/v1/gateway/edit/relay")):
            body = {"pass": "******"} if method == "PUT" else relay("relay", **{"pass": "******"})
            refused = await caller.ask(method, target, body)
            assert (refused.status, refused.json["fields"][0]["key"]) == (400, "pass")
        again = await caller.ask("POST", "/v1/gateway", {**relay("relay"), "name": "again"})
        assert again.json == {"gateway": "relay", "state": "existing"}
        listed = (await caller.ask("GET", "/v1/gateways")).json
        assert [each["name"] for each in listed["gateways"]] == ["again"]
    assert all(PASSWORD.encode() not in each.read_bytes() for each in simulation.folder.glob("journal.db*"))


async def test_tls_is_required_for_a_password(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        bare = {name: value for name, value in relay("relay").items() if name != "tls"}
        await caller.ask("POST", "/v1/gateway", bare)
        assert (await read(caller, "relay"))["tls"] == {"required": True}
        await caller.ask("POST", "/v1/gateway", {**bare, "gateway": "near", "host": "127.0.0.1"})
        assert "tls" not in await read(caller, "near")
        await caller.ask("POST", "/v1/gateway", {**bare, "gateway": "open", "user": None})
        assert "tls" not in await read(caller, "open")
