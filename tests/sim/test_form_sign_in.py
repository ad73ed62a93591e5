"""Signing in at a provider from the form: there and back, good and hostile, over restarts. The sandbox is it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
import trio
import trio.testing
from asking import Caller
from person import CALLER, SERVICE, Person, query_of
from simulation import Engine, Simulation

from engine.errors import StorageFull
from engine.oauth import grant
from engine.sandbox.oauth import Fault
from engine.store import grants

APP = {"name": "Sandbox", "provider": "sandbox", "clientId": "engine", "clientSecret": "s3cret", "enabled": True}
ANN = "ann@sandbox.example"
FAILED = {"errorRedirect": f"{CALLER}/failed", "account": "acme"}


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


@asynccontextmanager
async def at_form(simulation: Simulation, **members: Any) -> AsyncIterator[tuple[Engine, Person, str]]:
    """An engine with the sandbox's app, a person at its form, and the app's id."""
    async with simulation.running() as engine:
        await engine.context.settings.update(service_url=SERVICE)
        made = await (await Caller.of(engine)).ask("POST", "/v1/oauth2", {**APP, **members})
        assert made.status == 200, made
        yield engine, await Person.of(engine), made.json["id"]


async def to_consent(person: Person, **members: Any) -> str:
    """Follow a link as far as the provider's page; the link."""
    url = await person.link(**members)
    await person.go(url)
    if "sandbox/authorize" not in person.at:
        await person.follow("Sandbox")
    assert person.at.startswith(f"{SERVICE}/sandbox/authorize?"), person.text
    return url


def held(engine: Engine, account: str) -> grant.Grant:
    row = grants.get(engine.context.store.reader, account)
    assert row is not None
    return grant.opened(row, engine.context.oauth.keepers._vault)


async def test_somebody_signs_in_and_the_caller_is_told(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, app):
        await to_consent(person, account="acme", name="Ann Example")
        asked = query_of(person.at)
        assert asked["code_challenge_method"] == "S256" and len(asked["state"]) == len(asked["nonce"]) == 22
        assert asked["redirect_uri"] == f"{SERVICE}/oauth"
        await person.submit(user=ANN, decision="allow")
        assert person.told == {"account": "acme", "state": "new"}, person.text
        assert person.at.startswith(f"{CALLER}/connected?")
        account = engine.context.registry.get("acme")
        assert account is not None and (account.record.name, account.record.email) == ("Ann Example", ANN)
        found = held(engine, "acme")
        assert (found.app, found.user) == (app, ANN) and found.refresh_token and found.access_token
        assert engine.sandbox.oauth.opens(ANN, found.access_token)
        await person.go(await person.link(account="acme"))
        await person.follow("Sandbox")
        assert query_of(person.at)["login_hint"] == ANN
        await person.submit(user=ANN, decision="allow")
        assert person.told == {"account": "acme", "state": "existing"}
        assert held(engine, "acme").version == 2


async def test_the_same_mailbox_is_the_same_account(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, _):
        for state in ("new", "existing"):
            await to_consent(person)
            await person.submit(user=ANN, decision="allow")
            assert person.told["state"] == state
        assert len(engine.context.registry.every()) == 1


async def test_a_restart_meanwhile_loses_nothing(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (_, person, _):
        await to_consent(person, account="acme")
        asked, cookies = person.at, person.cookies
    raw = b"".join(each.read_bytes() for each in simulation.folder.glob("journal.db*"))
    assert query_of(asked)["state"].encode() not in raw
    async with simulation.running() as engine:
        person = await Person.of(engine)
        person.cookies = cookies
        await person.go(asked)
        await person.submit(user=ANN, decision="allow")
        assert person.told == {"account": "acme", "state": "new"}


@pytest.mark.parametrize(
    ("members", "unticked", "typed", "error", "words"),
    [
        ({}, (), {"user": ANN, "decision": "deny"}, "access_denied", "cancelled"),
        ({"expectedEmail": ANN}, (), {"user": "eve@sandbox.example", "decision": "allow"}, "wrong_account", ANN),
        ({}, ("scope:mail",), {"user": ANN, "decision": "allow"}, "missing_scope", "every box"),
    ],
)
@pytest.mark.parametrize("told", [True, False])
async def test_what_fails_is_told_and_stores_nothing(
    simulation: Simulation,
    autojump_clock: object,
    members: dict[str, Any],
    unticked: tuple[str, ...],
    typed: dict[str, str],
    error: str,
    words: str,
    told: bool,
) -> None:
    async with at_form(simulation) as (engine, person, _):
        url = await to_consent(person, **members, **(FAILED if told else {}))
        await person.submit(*unticked, **typed)
        assert engine.context.registry.every() == []
        if told:
            assert (person.told["error"], person.told["account"]) == (error, "acme")
            assert words in person.told["error_description"] and person.at.startswith(f"{CALLER}/failed?")
            await person.go(url)
        else:
            assert person.status == 400 and words in person.text and SERVICE in person.at
            await person.follow("Begin again")
        await person.follow("Sandbox")
        await person.submit(user=ANN, decision="allow")
        assert person.told["state"] == "new", "the same link can be tried again"


async def test_a_sign_in_that_does_not_last_takes_no_place(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person, account="acme")
        await person.submit(user=ANN, decision="allow")
        assert person.told == {"account": "acme", "state": "new"}
        held = engine.context.oauth.keepers.of("acme").grant
        provider = engine.sandbox.oauth
        redeem = provider.redeem

        def redeem_for_an_hour(*given: str) -> Any:
            code, issued = redeem(*given)
            return code, msgspec.structs.replace(issued, refresh_token=None)

        provider.redeem = redeem_for_an_hour
        await to_consent(person, **FAILED)
        await person.submit(user=ANN, decision="allow")
        assert person.told["error"] == "missing_scope"
        assert "60 minutes" in person.told["error_description"]
        assert "offline_access" in person.told["error_description"]
        assert engine.context.oauth.keepers.of("acme").grant.refresh_token == held.refresh_token


async def test_a_disk_without_room_is_told_to_the_caller_too(
    simulation: Simulation, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person, **FAILED)
        monkeypatch.setattr(engine.context.registry, "register", _no_room)
        await person.submit(user=ANN, decision="allow")
        assert person.told["error"] == "server_error" and "in a minute" in person.told["error_description"]


async def _no_room(*_: object, **__: object) -> None:
    raise StorageFull("no room")


async def test_a_state_is_good_once_and_in_its_browser(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person, account="acme", errorRedirect=FAILED["errorRedirect"])
        stranger, consented = await Person.of(engine), person.at
        await stranger.go(await stranger.link(account="other"))
        await stranger.follow("Sandbox")
        code = engine.sandbox.oauth.consent(ANN, "engine", f"{SERVICE}/oauth", ("openid", "email", "mail"))
        back = f"{SERVICE}/oauth?" + urlencode({"state": query_of(consented)["state"], "code": code})
        for each in (stranger, await Person.of(engine)):
            await each.go(back)
            assert each.told["error"] == "invalid_state" and "another browser" in each.told["error_description"]
            assert each.at.startswith(FAILED["errorRedirect"])
        assert engine.context.registry.every() == []
        await person.submit(user=ANN, decision="allow")
        assert person.told["state"] == "new"
        again = next(each for each in person.visited if "/oauth?" in each)
        await person.go(again)
        assert person.told["error"] == "invalid_state" and len(engine.context.registry.every()) == 1
        await stranger.go(again)
        assert stranger.told["error"] == "invalid_state" and len(engine.context.registry.every()) == 1


async def test_a_code_of_another_sign_in_is_worth_nothing(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person, account="acme")
        state = query_of(person.at)["state"]
        victim = await Person.of(engine)
        asked = await to_consent(victim, account="victim")
        challenge = query_of(victim.at)["code_challenge"]
        stolen = engine.sandbox.oauth.consent(
            "victim@sandbox.example", "engine", f"{SERVICE}/oauth", ("openid", "mail"), challenge=challenge
        )
        await person.go(f"{SERVICE}/oauth?" + urlencode({"state": state, "code": stolen}))
        assert person.status == 502 and engine.context.registry.every() == [] and asked


async def test_an_id_token_of_another_sign_in_is_refused(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person, account="acme")
        asked = query_of(person.at)
        code = engine.sandbox.oauth.consent(
            ANN, "engine", f"{SERVICE}/oauth", ("openid", "mail"), challenge=asked["code_challenge"], nonce="another"
        )
        await person.go(f"{SERVICE}/oauth?" + urlencode({"state": asked["state"], "code": code}))
        assert person.status == 502 and "another sign-in" in person.text
        assert engine.context.registry.every() == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"iss": "https://evil.example"}, "another provider"),
        ({"error": "temporarily_unavailable"}, "temporary"),
        ({"error": "<script>", "error_description": "<script>alert(1)</script>"}, "<script>"),
        ({}, "without a code"),
    ],
)
async def test_a_callback_that_answers_something_else_is_refused(
    simulation: Simulation, autojump_clock: object, query: dict[str, str], words: str
) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person)
        code = {"code": "x"} if "iss" in query else {}
        await person.go(f"{SERVICE}/oauth?" + urlencode({"state": query_of(person.at)["state"], **query, **code}))
        assert person.status in (400, 502) and words in person.text and "<script" not in person.body
        assert engine.context.registry.every() == []


async def test_a_stranger_gets_a_page_without_the_link(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, _):
        url = await to_consent(person)
        stranger = await Person.of(engine)
        await stranger.go(f"{SERVICE}/oauth?" + urlencode({"state": query_of(person.at)["state"], "code": "x"}))
        assert stranger.status == 400 and "another browser" in stranger.text
        assert query_of(url)["sig"] not in stranger.body and "Begin again" not in stranger.page.links


@pytest.mark.parametrize("told", [True, False])
async def test_a_sign_in_ends_after_an_hour(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, told: bool
) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person, **(FAILED if told else {}))
        await trio.sleep(3601)
        await person.submit(user=ANN, decision="allow")
        assert engine.context.registry.every() == []
        if told:
            assert (person.told["error"], person.told["account"]) == ("invalid_state", "acme")
            assert "longer than an hour" in person.told["error_description"]
            return
        assert person.status == 400 and "longer than an hour" in person.text
        await person.follow("Begin again")
        assert person.status == 200


async def test_a_sign_in_of_yesterday_is_unknown(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person, **FAILED)
        await trio.sleep_until(trio.current_time() + 86_401)
        await person.submit(user=ANN, decision="allow")
        assert person.status == 400 and "longer than a day" in person.text
        assert engine.context.registry.every() == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=503), "did not let you in"),
        (Fault(status=400, error="invalid_grant"), "did not let you in"),
        (Fault(status=401, error="invalid_client"), "Its operator has been told"),
        (Fault(cut=True), "did not let you in"),
    ],
)
async def test_a_provider_with_a_fault_costs_one_sign_in(
    simulation: Simulation, autojump_clock: object, fault: Fault, words: str
) -> None:
    async with at_form(simulation) as (engine, person, app):
        await to_consent(person)
        engine.sandbox.oauth.faults.append(fault)
        await person.submit(user=ANN, decision="allow")
        assert person.status == 502 and words in person.text and "s3cret" not in person.body
        told = engine.context.oauth.book.made[app].error
        assert (told is not None) == (fault.error == "invalid_client")
        await person.follow("Begin again")
        await person.follow("Sandbox")
        await person.submit(user=ANN, decision="allow")
        assert person.told["state"] == "new"
        assert engine.context.oauth.book.made[app].error is None


async def test_what_is_offered(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation, title="<b>Ours</b>") as (engine, person, app):
        caller = await Caller.of(engine)
        await person.go(await person.link())
        assert "<b>Ours</b>" in person.text and "&lt;b&gt;Ours" in person.body and "Another mailbox" in person.text
        await person.go(await person.link(type="imap"))
        assert person.page.forms[0][1]["step"] == "address"
        await person.go(await person.link(type=app))
        assert "sandbox/authorize" in person.at
        await person.go((await person.link(type=app)).replace(f"&type={app}", "&type=imap"))
        assert "sandbox/authorize" in person.at, "what the link says holds"
        refused = await caller.ask("POST", "/v1/authentication/form", {"redirectUrl": CALLER, "type": "gone"})
        assert refused.status == 400 and refused.json["fields"][0]["path"] == "type"
        url = await person.link(type=app)
        await caller.ask("PUT", f"/v1/oauth2/{app}", {"enabled": False})
        await person.go(url)
        assert person.status == 502 and "no longer" in person.text
        await person.go(await person.link())
        assert person.page.forms[0][1]["step"] == "address", "there is no choice"


async def test_the_consent_page_leads_back_here_alone(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (_, person, _):
        await to_consent(person)
        query = {**query_of(person.at), "redirect_uri": "https://evil.example/oauth"}
        await person.go(f"{SERVICE}/sandbox/authorize?" + urlencode(query))
        assert person.status == 400 and "evil" not in person.body


async def test_only_the_newest_sign_ins_of_a_link_are_kept(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, app):
        url = await person.link(type=app)
        for _ in range(12):
            await person.go(url)
            await trio.sleep(1)
        (count,) = engine.context.store.reader.execute("SELECT count(*) FROM sign_in").fetchone()
        assert count == 10
        await person.submit(user=ANN, decision="allow")
        assert person.told["state"] == "new"


async def test_a_shared_mailbox_is_that_of_the_link(simulation: Simulation, autojump_clock: object) -> None:
    async with at_form(simulation) as (engine, person, _):
        await to_consent(person, account="acme", email="team@sandbox.example", delegated=True)
        assert "login_hint" not in query_of(person.at)
        await person.submit(user=ANN, decision="allow")
        assert person.told["state"] == "new"
        account = engine.context.registry.get("acme")
        assert account is not None and account.record.email == "team@sandbox.example"
        assert held(engine, "acme").user == ANN


async def test_a_provider_elsewhere_has_the_servers_of_its_app(simulation: Simulation, autojump_clock: object) -> None:
    places = {"authorizationUrl": "authorize", "tokenUrl": "token", "userinfoUrl": "userinfo"}
    urls = {name: f"http://sign-in.sandbox.example/{path}" for name, path in places.items()}
    server = {"host": "10.0.0.5", "port": 143, "secure": False}
    members = {"name": "Own", "provider": "oidc", "imap": server, "smtp": {**server, "port": 587}, **urls}
    async with at_form(simulation, **members) as (engine, person, app):
        await person.go(await person.link(type=app, account="acme"))
        assert person.at.startswith("http://sign-in.sandbox.example/authorize?")
        asked = query_of(person.at)
        code = engine.sandbox.oauth.consent(
            ANN,
            asked["client_id"],
            asked["redirect_uri"],
            tuple(asked["scope"].split()),
            challenge=asked["code_challenge"],
            nonce=asked["nonce"],
        )
        await person.go(f"{SERVICE}/oauth?" + urlencode({"state": asked["state"], "code": code}))
        assert person.told == {"account": "acme", "state": "new"}, person.text
        account = engine.context.registry.get("acme")
        assert account is not None and account.status.servers.imap is not None
        imap, smtp = account.status.servers.imap, account.status.servers.smtp
        assert smtp is not None and (imap.host, smtp.port, imap.user) == ("10.0.0.5", 587, ANN)
        assert account.restricted == frozenset(), "the operator has named them"


@pytest.mark.parametrize("moment", ["before the code is exchanged", "before the account is stored", "afterwards"])
async def test_killed_within_a_sign_in_the_next_one_succeeds(
    simulation: Simulation, autojump_clock: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str
) -> None:
    copy = tmp_path / "copy"

    def die() -> None:
        shutil.copytree(simulation.folder, copy, ignore=lambda _, names: [each for each in names if ".sock" in each])

    async with at_form(simulation) as (engine, person, _):
        link = await to_consent(person, account="acme")
        exchange = engine.context.oauth.requests.exchange

        async def dying(*given: Any) -> Any:
            if moment == "before the code is exchanged":
                die()
            tokens = await exchange(*given)
            if moment == "before the account is stored":
                die()
            return tokens

        monkeypatch.setattr(engine.context.oauth.requests, "exchange", dying)
        await person.submit(user=ANN, decision="allow")
        assert person.told["state"] == "new"
        if moment == "afterwards":
            die()
        back = next(each for each in person.visited if "/oauth?" in each)
        cookies = person.cookies
    shutil.rmtree(simulation.folder)
    shutil.copytree(copy, simulation.folder)
    async with simulation.running() as engine:
        person = await Person.of(engine)
        person.cookies = cookies
        await person.go(back)
        assert "has ended already" in person.text
        await person.go(link)
        if moment == "afterwards":
            assert "A mailbox was connected with this link already" in person.text
        else:
            await person.follow("Sandbox")
            await person.submit(user=ANN, decision="allow")
            assert person.told == {"account": "acme", "state": "new"}
            await engine.event("acme", "accountInitialized")
        assert len(engine.context.registry.every()) == 1
