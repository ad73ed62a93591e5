"""Accounts and messages that leave through a proxy: which way they take, and whom a dead proxy costs anything."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from answers import plain
from proxy_server import ProxyServer
from simulation import OPERATOR, Engine, Simulation, servers

from engine.api import account as account_api
from engine.api import oauth2 as oauth2_api
from engine.api import settings as settings_api
from engine.api.submit import submit
from engine.errors import NetworkError, NetworkKind, Problem
from engine.model.message_states import State
from engine.oauth.apps import App
from engine.oauth.errors import TokenError
from engine.oauth.providers import Endpoints, Server
from engine.sandbox.streams import stream_pair
from engine.schema.account import AccountCreate, AccountQuery, AccountUpdate
from engine.schema.oauth2 import OAuthAppVerify
from engine.schema.settings import SettingsQuery, SettingsUpdate
from engine.schema.submit import Submit, SubmitHeaders
from engine.store.tokens import Token
from engine.world import Choose

DOMAIN = "sandbox.example"
SETTLED = 30.0
"""Seconds after which copies of what was sent are filed, over connections of their own."""
PROXIES = {"one.example": "203.0.114.1", "two.example": "203.0.114.2"}
MAIL = "203.0.115.9"
SECRET = "correct-horse"
ONE, TWO = f"socks5://jo:{SECRET}@one.example:1080", "http://two.example:3128"
TENANT = Token("1" * 64, "tenant", ["*"], 0.0, account="acme")


class ProxiedWorld:
    """Lays proxies before the sandbox. `dialled` has each connection: to which host, from which local address."""

    def __init__(self, simulation: Simulation) -> None:
        self.dialled: list[tuple[str, str]] = []
        self.dead: set[str] = set()
        self.proxies = {
            "one.example": ProxyServer("socks5", simulation.world.dial, ("jo", SECRET)),
            "two.example": ProxyServer("http", simulation.world.dial),
        }
        self._to_sandbox = simulation.world.dial
        self._nursery: trio.Nursery | None = None
        simulation.world.dial = self.dial
        simulation.world.resolve = self.resolve
        simulation.world.has_address = lambda address: address.startswith("198.51.100.")

    async def resolve(self, host: str, port: int | None) -> list[str]:
        return [PROXIES.get(host, MAIL)]

    async def dial(self, host: str, port: int, choose: Choose | None = None, local: Any = ()) -> trio.abc.Stream:
        if choose is not None:
            choose(await self.resolve(host, port))
        self.dialled.append((host, local[0] if local else ""))
        if host in self.dead:
            raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", f"connect ECONNREFUSED {host}:{port}")
        proxy = self.proxies.get(host)
        if proxy is None:
            return await self._to_sandbox(host, port)
        client, server = stream_pair()
        assert self._nursery is not None
        self._nursery.start_soon(proxy.serve, server)
        return client

    async def __aenter__(self) -> ProxiedWorld:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> Any:
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        return await self._manager.__aexit__(*exc)

    async def hosts(self) -> set[str]:
        """Which hosts were dialled from here since this was last asked, what follows a message included."""
        await trio.sleep(SETTLED)
        found = {host for host, _ in self.dialled}
        self.dialled.clear()
        return found


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def shown(engine: Engine, name: str = "acme") -> dict[str, Any]:
    return plain(await account_api.read(engine.context, name, AccountQuery(), caller=OPERATOR))


async def change(engine: Engine, **members: Any) -> None:
    body = msgspec.convert(members, AccountUpdate)
    await account_api.update(engine.context, "acme", body, caller=OPERATOR)


async def put_settings(engine: Engine, **members: Any) -> None:
    await settings_api.update(engine.context, msgspec.convert(members, SettingsUpdate))


async def until_state(engine: Engine, name: str, state: str) -> dict[str, Any]:
    with trio.fail_after(3600):
        while (found := await shown(engine, name))["state"] != state:  # noqa: ASYNC110 - by the clock of the test
            await trio.sleep(1)
    return found


async def sent(engine: Engine, account: str = "acme", **members: Any) -> dict[str, Any]:
    """A message handed in and sent: what `messageSent` says of it."""
    answer = await engine.submit(account, f"x@{DOMAIN}", **members)
    await engine.until_ended(answer["queueId"])
    assert engine.state(answer["queueId"]) is State.SENT
    (told,) = [e for e in engine.events(account, "messageSent") if e["data"]["queueId"] == answer["queueId"]]
    return told["data"]


async def test_an_account_with_a_proxy_is_dialled_through_it_alone(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"), proxy=ONE)
        data = await sent(engine)
        assert data["networkRouting"] == {"proxy": "socks5://one.example:1080"}
        assert await world.hosts() == {"one.example"}
        assert set(world.proxies["one.example"].asked) == {(MAIL, 143), (MAIL, 587)}
        found = await shown(engine)
        assert found["proxy"] == "socks5://******@one.example:1080"
        await change(engine, proxy=None)
        await world.hosts()
        assert (await sent(engine))["networkRouting"] is None
        assert await world.hosts() == {"imap.sandbox.example", "smtp.sandbox.example"}
        assert "proxy" not in await shown(engine)


async def test_the_login_of_a_proxy_is_sealed_and_shows_nowhere(simulation: Simulation, autojump_clock: object) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"), proxy=ONE, logs=True)
        await put_settings(engine, proxyUrl=ONE, proxyEnabled=True)
        answer = await engine.submit("acme", f"x@{DOMAIN}", proxy=ONE)
        await engine.until_ended(answer["queueId"])
        entry = await engine.entry(answer["queueId"])
        assert entry["proxy"] == "socks5://******@one.example:1080"
        log = engine.context.registry.get("acme").log
        assert "connecting to imap.sandbox.example:143 through socks5://one.example:1080" in log.text().decode()
        world.proxies["one.example"].login = ("jo", "another")
        engine.context.registry.get("acme").reconnect()
        found = await until_state(engine, "acme", "connectError")
        assert found["lastError"]["serverResponseCode"] == "EPROXYAUTH"
        assert "user and password in proxy of the account" in found["lastError"]["description"]
        shows = [found, entry, engine.events("acme"), log.text().decode(), plain(await settings_read(engine))]
        assert SECRET not in str(shows)
    for file in simulation.folder.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


async def settings_read(engine: Engine) -> Any:
    return await settings_api.read(engine.context, SettingsQuery())


async def test_settings_move_the_accounts_that_have_no_proxy_of_their_own(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"))
        await engine.register("own", **servers("own", "secret"), proxy=ONE)
        await engine.register("inside")
        await world.hosts()
        await put_settings(engine, proxyUrl=TWO)
        await trio.sleep(60)
        assert await world.hosts() == set(), "it is not enabled"
        await put_settings(engine, proxyEnabled=True)
        await trio.sleep(60)
        assert await world.hosts() == {"two.example"}, "only those connect anew who go another way"
        assert (await sent(engine))["networkRouting"] == {"proxy": "http://two.example:3128"}
        assert (await sent(engine, "own"))["networkRouting"] == {"proxy": "socks5://one.example:1080"}
        assert (await sent(engine, "inside"))["networkRouting"] is None
        shown_settings = plain(await settings_read(engine))
        assert (shown_settings["proxyUrl"], shown_settings["proxyEnabled"]) == (TWO, True)
        await world.hosts()
        await put_settings(engine, proxyEnabled=False)
        await trio.sleep(60)
        assert await world.hosts() == {"imap.sandbox.example", "smtp.sandbox.example"}


async def test_a_message_with_a_proxy_of_its_own_has_a_session_of_its_own(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"))
        await sent(engine)
        await world.hosts()
        for _ in range(2):
            assert (await sent(engine, proxy=TWO))["networkRouting"] == {"proxy": "http://two.example:3128"}
        hosts = [host for host, _ in world.dialled if not host.startswith("imap.")]
        assert hosts == ["two.example"] * 2, "nor is one of its kind reused"
        await world.hosts()
        assert (await sent(engine))["networkRouting"] is None
        assert await world.hosts() - {"imap.sandbox.example"} == {"smtp.sandbox.example"}


async def test_every_event_and_the_attempts_say_by_which_way_they_went(
    simulation: Simulation, autojump_clock: object
) -> None:
    went = {"proxy": "http://two.example:3128"}
    async with ProxiedWorld(simulation), simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"), proxy=ONE)
        many = [f"{number}@{DOMAIN}" for number in range(250)]
        answer = await engine.submit("acme", *many, f"defer1+x@{DOMAIN}", f"reject@{DOMAIN}", proxy=TWO)
        await engine.until_ended(answer["queueId"])
        told = [e for e in engine.events("acme") if e["data"].get("queueId") == answer["queueId"]]
        assert {e["event"] for e in told} == {"messageSent", "messageDeliveryError"}
        assert len(told) > 4
        assert all(e["data"]["networkRouting"] == went for e in told)
        log = (await engine.entry(answer["queueId"]))["attemptLog"]
        assert [each["proxy"] for each in log] == [went["proxy"]] * len(log)
        assert len(log) == 2


async def test_a_dead_proxy_of_a_message_costs_that_message_alone(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"))
        world.dead.add("one.example")
        stuck = await engine.submit("acme", f"stuck@{DOMAIN}", proxy=ONE)
        told = await engine.event("acme", "messageDeliveryError")
        assert told["data"]["error"].startswith("The proxy socks5://one.example:1080 cannot be reached: ")
        began = trio.current_time()
        await sent(engine)
        assert trio.current_time() - began < 1
        assert (await shown(engine))["sending"]["state"] == "connected"
        world.dead.clear()
        await engine.until_ended(stuck["queueId"])
        assert engine.state(stuck["queueId"]) is State.SENT


async def test_a_message_with_a_proxy_of_its_own_goes_while_its_accounts_way_is_dead(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"))
        world.dead.add("smtp.sandbox.example")
        held = await engine.submit("acme", f"held@{DOMAIN}")
        await engine.event("acme", "messageDeliveryError")
        began = trio.current_time()
        await sent(engine, proxy=ONE)
        assert trio.current_time() - began < 65
        assert engine.state(held["queueId"]) is not State.SENT
        dials = [host for host, _ in world.dialled].count("smtp.sandbox.example")
        await trio.sleep(600)
        assert [host for host, _ in world.dialled].count("smtp.sandbox.example") - dials < 20
        world.dead.clear()
        await engine.until_ended(held["queueId"])
        assert engine.state(held["queueId"]) is State.SENT


async def test_a_dead_proxy_costs_only_the_accounts_that_use_it(simulation: Simulation, autojump_clock: object) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"), proxy=ONE)
        await engine.register("twin", **servers("twin", "secret"), proxy=ONE)
        await engine.register("other", **servers("other", "secret"), proxy=TWO)
        await engine.register("plain", **servers("plain", "secret"))
        world.dead.add("one.example")
        for name in ("acme", "twin"):
            engine.context.registry.get(name).reconnect()
        found = await until_state(engine, "acme", "connectError")
        assert found["lastError"]["serverResponseCode"] == "EPROXY"
        assert "Check that the proxy runs" in found["lastError"]["description"]
        waiting = [await engine.submit(name, f"x@{DOMAIN}") for name in ("acme", "twin")]
        await trio.sleep(600)
        for name in ("other", "plain"):
            began = trio.current_time()
            await sent(engine, name)
            assert trio.current_time() - began < 1
            assert (await shown(engine, name))["state"] == "connected"
        world.dialled.clear()
        await trio.sleep(600)
        dials = [host for host, _ in world.dialled].count("one.example")
        assert 0 < dials < 2 * 3 * 600 / 25, "a few for each connection, and no storm"
        world.dead.clear()
        back = trio.current_time()
        await engine.until_ended(*(each["queueId"] for each in waiting))
        assert trio.current_time() - back <= 60
        for name in ("acme", "twin"):
            await until_state(engine, name, "connected")


async def test_strategies_choose_among_the_local_addresses(simulation: Simulation, autojump_clock: object) -> None:
    addresses = [f"198.51.100.{each}" for each in range(1, 9)]
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await put_settings(engine, localAddresses=addresses, smtpStrategy="dedicated", imapStrategy="random")
        for name in ("acme", "b", "c", "d"):
            await engine.register(name, **servers(name, "secret"))
        for _ in range(3):
            engine.context.registry.get("acme").reconnect()
            await trio.sleep(60)
            await sent(engine)
        by_smtp = {local for host, local in world.dialled if host.startswith("smtp")}
        by_imap = {local for host, local in world.dialled if host.startswith("imap")}
        assert by_smtp <= set(addresses)
        assert 1 < len(by_smtp) <= 4, "one for each account"
        assert len(by_imap) > 3
        await change(engine, localAddress="198.51.100.5")
        await world.hosts()
        data = await sent(engine)
        assert data["networkRouting"] == {"localAddress": "198.51.100.5"}
        assert {local for _, local in world.dialled} == {"198.51.100.5"}
        data = await sent(engine, localAddress="198.51.100.6", proxy=TWO)
        assert data["networkRouting"] == {"proxy": "http://two.example:3128", "localAddress": "198.51.100.6"}
        assert ("two.example", "198.51.100.6") in world.dialled


@pytest.mark.parametrize(
    ("members", "caller", "status", "path", "says"),
    [
        ({"localAddress": "203.0.113.1"}, OPERATOR, 400, "localAddress", "must be one of the setting localAddresses"),
        ({"localAddress": "198.51.100.9"}, OPERATOR, 400, "localAddress", "must be one of the setting"),
        ({"localAddress": "198.51.100.2"}, OPERATOR, 400, "localAddress", "must be an address of this machine"),
        ({"proxy": "socks5://169.254.169.254"}, OPERATOR, 400, "proxy", "cannot be used: "),
        ({"proxy": "socks5://******@one.example"}, OPERATOR, 400, "proxy", "is a masked value"),
        ({"proxy": ONE}, TENANT, 403, None, "A token for one account may not name a proxy"),
        ({"localAddress": "198.51.100.9"}, TENANT, 400, "localAddress", "must be one of the setting"),
    ],
)
async def test_ways_that_are_refused(
    members: dict[str, Any],
    caller: Token,
    status: int,
    path: str | None,
    says: str,
    simulation: Simulation,
    autojump_clock: object,
) -> None:
    async with ProxiedWorld(simulation), simulation.running() as engine:
        simulation.world.resolve = lambda host, port: _itself(host)
        await engine.register("acme")
        await put_settings(engine, localAddresses=["198.51.100.1", "198.51.100.2"])
        simulation.world.has_address = lambda address: address == "198.51.100.1"
        message = msgspec.convert({"to": [{"address": f"x@{DOMAIN}"}], "text": "x", **members}, Submit)
        with pytest.raises(Problem) as by_message:
            await submit(engine.context, "acme", message, SubmitHeaders(), caller=caller)
        with pytest.raises(Problem) as by_account:
            body = msgspec.convert(members, AccountUpdate)
            await account_api.update(engine.context, "acme", body, caller=caller)
        for problem in (by_message.value, by_account.value):
            assert problem.status == status
            fields = problem.extra.get("fields", [])
            assert [each["path"] for each in fields] == ([path] if path else [])
            assert says in (fields[0]["message"] if fields else problem.message)


async def _itself(host: str) -> list[str]:
    return [host]


async def test_settings_that_are_refused(simulation: Simulation, autojump_clock: object) -> None:
    async with ProxiedWorld(simulation), simulation.running() as engine:
        with pytest.raises(Problem) as caught:
            await put_settings(engine, localAddresses=["198.51.100.1", "203.0.113.1", "::"])
        assert [each["path"] for each in caught.value.extra["fields"]] == ["localAddresses[1]", "localAddresses[2]"]
        await put_settings(engine, proxyUrl=ONE)
        with pytest.raises(Problem) as caught:
            await put_settings(engine, proxyUrl="socks5://******@two.example:1080")
        assert caught.value.extra["fields"][0]["message"] == '"proxyUrl" is a masked value'
        await put_settings(engine, proxyUrl="socks5://******@one.example:1080")
        assert engine.context.settings.values.proxy_url == ONE
        await put_settings(engine, proxyUrl="")
        assert engine.context.settings.values.proxy_url is None


async def test_token_requests_go_through_the_proxy_of_the_settings(
    simulation: Simulation, autojump_clock: object
) -> None:
    app = App(id="x", provider="gmail", name="x", client_id="id")
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        for enabled in (True, False):
            await put_settings(engine, proxyUrl=TWO, proxyEnabled=enabled)
            world.dialled.clear()
            with pytest.raises(TokenError):
                await engine.context.oauth.requests.page(app, "https://accounts.example/auth")
            assert world.dialled[0][0] == ("two.example" if enabled else "accounts.example")
        assert world.proxies["two.example"].asked == [(MAIL, 443)]


async def sign_in_through(engine: Engine, proxy: str) -> None:
    """An account that signs in at Gmail, through this proxy."""
    app = App(id="x", provider="gmail", name="x", enabled=True, client_id="id", client_secret="s3cret")
    await engine.context.oauth.book.add(app)
    oauth2 = {"provider": "x", "auth": {"user": "ann@gmail.example"}, "refreshToken": "1//0dx"}
    given = {"account": "acme", "name": "x", "imap": False, "smtp": False, "oauth2": oauth2, "proxy": proxy}
    await account_api.register(engine.context, msgspec.convert(given, AccountCreate), caller=OPERATOR)


async def test_token_requests_go_through_the_proxy_of_their_account(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await sign_in_through(engine, ONE)
        for way, proxy in (("one.example", TWO), ("two.example", None), ("two.example", "")):
            world.dialled.clear()
            await trio.sleep(1300)
            assert {host for host, _ in world.dialled} == {way}
            assert set(world.proxies[way].asked) == {(MAIL, 443)}
            await change(engine, proxy=proxy)
            if proxy is None:
                await put_settings(engine, proxyUrl=TWO, proxyEnabled=True)


async def test_token_requests_leave_from_the_address_of_their_account(
    simulation: Simulation, autojump_clock: object
) -> None:
    addresses = [f"198.51.100.{each}" for each in range(1, 9)]
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await sign_in_through(engine, "")
        await trio.sleep(1300)
        assert {local for _, local in world.dialled} == {""}
        await put_settings(engine, localAddresses=addresses, imapStrategy="dedicated", smtpStrategy="random")
        world.dialled.clear()
        await trio.sleep(4000)
        (local,) = {local for _, local in world.dialled}
        assert local in addresses, "one of its own"
        await change(engine, localAddress="198.51.100.5")
        world.dialled.clear()
        await trio.sleep(1300)
        assert {local for _, local in world.dialled} == {"198.51.100.5"}


async def test_another_way_to_the_provider_ends_the_wait_for_a_token(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        world.dead.add("one.example")
        await sign_in_through(engine, ONE)

        async def dialled_after(mend: Awaitable[None]) -> set[str]:
            await trio.sleep(2000)  # the keeper waits ten minutes by now
            world.dialled.clear()
            await mend
            await trio.sleep(1)
            return {host for host, _ in world.dialled}

        assert await dialled_after(change(engine, proxy=TWO)) == {"two.example"}
        await put_settings(engine, proxyUrl=ONE, proxyEnabled=True)
        assert await dialled_after(change(engine, proxy=None)) == {"one.example"}
        assert await dialled_after(put_settings(engine, proxyUrl=TWO)) == {"two.example"}


async def test_an_app_is_verified_on_the_way_of_its_accounts(simulation: Simulation, autojump_clock: object) -> None:
    endpoints = Endpoints(authorize="https://login.example/a", token="https://login.example/t")
    imap = Server("imap.sandbox.example", 143, False)
    app = App(id="x", provider="oidc", name="x", enabled=True, client_id="id", endpoints=endpoints, imap=imap)
    async with ProxiedWorld(simulation) as world, simulation.running() as engine:
        await engine.context.oauth.book.add(app)
        await put_settings(engine, serviceUrl="https://mail.example.com", proxyUrl=TWO, proxyEnabled=True)
        oauth2 = {"provider": "x", "auth": {"user": "ann@sandbox.example"}, "accessToken": "t", "refreshToken": "r"}
        given = {"account": "acme", "name": "x", "oauth2": {**oauth2, "expires": "2099-01-01T00:00:00Z"}, "proxy": ONE}
        await account_api.register(engine.context, msgspec.convert(given, AccountCreate), caller=OPERATOR)
        for name, way in ((None, "two.example"), ("acme", "one.example")):
            await world.hosts()
            world.proxies[way].asked.clear()
            answer = await oauth2_api.verify(engine.context, "x", OAuthAppVerify(account=name))
            assert {host for host, _ in world.dialled} == {way}
            assert (MAIL, 443) in world.proxies[way].asked
            assert ((MAIL, 143) in world.proxies[way].asked) is (name is not None)
            login = next(step for step in answer.steps if step.id == "login")
            assert "proxy" not in (login.message or "") and login.status == ("skip" if name is None else "fail")


async def test_a_proxy_that_cannot_be_read_is_gone_around_by_nobody(
    simulation: Simulation, autojump_clock: object, engine_errors: list[Any]
) -> None:
    async with ProxiedWorld(simulation) as world:
        async with simulation.running() as engine:
            await put_settings(engine, proxyUrl=ONE, proxyEnabled=True)
            await engine.register("acme", **servers("acme", "secret"))
            await engine.context.store.commit(
                lambda tx: tx.execute("UPDATE setting SET value = '{\"sealed\":\"v1.x\"}' WHERE name = 'proxyUrl'")
            )
        await world.hosts()
        async with simulation.running() as engine:
            found = await until_state(engine, "acme", "connectError")
            assert found["lastError"]["response"] == "The stored setting proxyUrl cannot be read: make it again"
            assert await world.hosts() == set()
            await put_settings(engine, proxyUrl=TWO)
            await until_state(engine, "acme", "connected")
            assert await world.hosts() == {"two.example"}
